"""A PostgreSQL cluster of our own on loopback, or the one that the caller named."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg

from local import sources
from local.account import unprivileged
from local.certificate import Certificate, over_tls
from local.processes import Process, StartError, start_on_free_port
from provision import databases
from provision.secrets import database_password, database_url, free_port, read, write

ADMIN_URL = "HOLDFAST_POSTGRES_ADMIN_URL"
START_S_MAX = 60
CONNECTIONS_MAX = 400

T = TypeVar("T")


class Postgres:
    """The cluster whose state is in `folder`; a second object for the same folder means the same cluster.

    `settings` has the passwords. `usual_ports`: take the port that it names where it is free. Without `fsync` it is
    quicker, and a crash of the machine (not of the cluster) may lose everything: only for data that nobody keeps. With
    a `certificate`, it is reached over TLS alone.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        usual_ports: bool = False,
        fsync: bool = True,
        certificate: Certificate | None = None,
    ) -> None:
        self._folder = folder
        self._state = folder / "postgres"
        self._settings = settings
        self._usual_ports = usual_ports
        self._fsync = fsync
        self._certificate = certificate
        self._process = Process(folder, "postgres")
        self.private = not os.environ.get(ADMIN_URL)
        """Whether this is a cluster of our own, which `stop`, `kill` and `restart` work on."""

    @property
    def address(self) -> str:
        """Where clients connect, as host:port."""
        return urlsplit(self.admin_url).netloc.rpartition("@")[2]

    @property
    def admin_url(self) -> str:
        """Where a superuser connects, with its password."""
        if not self.private:
            return os.environ[ADMIN_URL]
        port = read(self._folder / "postgres.ports").get("port")
        if not port:
            raise StartError("the cluster has no port yet: start it first")
        url = database_url(self._settings, "postgres", f"127.0.0.1:{port}", "postgres")
        return over_tls(url) if self._certificate else url

    @property
    def ca_file(self) -> str:
        """By which the cluster is verified; empty without TLS."""
        return str(self._certificate.ca) if self._certificate else ""

    @property
    def pid(self) -> int | None:
        """The process id of our own cluster while it runs."""
        return self._process.pid

    def start(self) -> None:
        """Return once the cluster takes logins. Raises `StartError` or `NoPart`; nothing is left running then."""
        try:
            if self.private:
                program = sources.postgresql()
                start_on_free_port(lambda: self._start_private(program), self.stop)
            else:
                self._wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the cluster, with a checkpoint and without waiting for its clients to leave."""
        self._process.stop(wait_s=30)

    def kill(self) -> None:
        """End all of the cluster's processes at once; `start` recovers what was committed."""
        if not self.private:
            raise RuntimeError("this cluster was named by the caller, and is not ours to kill")
        self._process.kill()

    def restart(self) -> None:
        """Stop and start, on the same port and with the same data."""
        self.stop()
        self.start()

    def _start_private(self, program: sources.PostgreSQL) -> None:
        self._start_server(program)
        self._wait_ready()

    def _start_server(self, program: sources.PostgreSQL) -> None:
        account = unprivileged()
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account:
            account.own(self._state)
        data = self._state / "data"
        if not (data / "PG_VERSION").exists():
            shutil.rmtree(data, ignore_errors=True)
            self._initialize(program, data)
        options = self._options(self._choose_port())
        command: list[str | Path] = [program.bin / "postgres", "-D", data, *(f"--{option}" for option in options)]
        self._process.start(command, self._environment(), account, cwd=self._state, stopped_by=signal.SIGINT)

    def _choose_port(self) -> int:
        """Last time's port, if it is free."""
        file = self._folder / "postgres.ports"
        usual = self._settings["HOLDFAST_POSTGRES_PORT"] if self._usual_ports else "0"
        port = free_port(int(read(file).get("port", usual)))
        write(file, f"port={port}\n")
        return port

    def _initialize(self, program: sources.PostgreSQL, data: Path) -> None:
        account = unprivileged()
        password = self._state / "password"
        write(password, self._settings[database_password("postgres")] + "\n")
        if account:
            account.own(password)
        options = ["-U", "postgres", f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        done = subprocess.run(
            [program.bin / "initdb", "-D", data, *options, *([] if self._fsync else ["--no-sync"])],
            env=self._environment(),
            cwd=self._state,
            capture_output=True,
            text=True,
            check=False,
            **(account.popen_arguments() if account else {}),
        )
        password.unlink()
        if done.returncode:
            shutil.rmtree(data, ignore_errors=True)
            raise StartError(f"PostgreSQL's initdb failed:\n{done.stdout[-500:]}{done.stderr[-1500:]}")

    def _options(self, port: int) -> list[str]:
        """Reached by TCP on loopback alone: a socket file would need a short path, and would be one more way in."""
        quick = [] if self._fsync else ["fsync=off", "full_page_writes=off"]
        return [
            "listen_addresses=127.0.0.1",
            f"port={port}",
            "unix_socket_directories=",
            f"max_connections={CONNECTIONS_MAX}",
            "timezone=UTC",
            "log_timezone=UTC",
            "logging_collector=off",
            *quick,
            *self._tls_options(),
        ]

    def _tls_options(self) -> list[str]:
        if not self._certificate:
            return []
        account, rules = unprivileged(), self._state / "tls_only.conf"
        chain, key = self._certificate.copy(self._state, account)
        write(rules, "hostssl all all 127.0.0.1/32 scram-sha-256\n")
        if account:
            account.own(rules)
        return ["ssl=on", f"ssl_cert_file={chain}", f"ssl_key_file={key}", f"hba_file={rules}"]

    def _environment(self) -> dict[str, str]:
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self._state), "LC_ALL": "C"}

    def _wait_ready(self) -> None:
        end = time.monotonic() + START_S_MAX
        while True:
            if self.private and not self._process.pid:
                raise self._process.fail("it ended while starting")
            try:
                return apart(databases.wait_ready(self.admin_url, 0, self.ca_file))
            except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError):
                if self.private and self._process.wait_gone(5):  # so another cluster answered, on the port we wanted
                    continue
                remedy = f"restore .env, or remove {self._state}" if self.private else f"check {ADMIN_URL}"
                raise StartError(f"PostgreSQL refuses the administrator's password: {remedy}") from None
            except TimeoutError as error:
                if time.monotonic() > end:
                    raise self._process.fail(str(error)) if self.private else StartError(str(error)) from None
            time.sleep(0.05)


def apart(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, run in a thread of its own, so that the caller may be inside an event loop or not."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
