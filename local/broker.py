"""A RabbitMQ of our own on loopback, or the one that the caller named."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from holdfast.delivery.names import MESSAGE_BYTES_MAX
from local import sources
from local.account import unprivileged
from local.certificate import Certificate
from local.processes import Process, StartError, start_on_free_port
from provision.management import Management
from provision.secrets import broker_password, free_port, read, write

MANAGEMENT_URL, AMQP_URL = "HOLDFAST_RABBITMQ_MANAGEMENT_URL", "HOLDFAST_RABBITMQ_AMQP_URL"
START_S_MAX = 120


class Broker:
    """The broker whose state is in `folder`; a second object for the same folder means the same broker.

    `settings` has the passwords. `usual_ports`: take the ports that it names where they are free. With a `certificate`,
    AMQP is spoken over TLS alone.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        usual_ports: bool = False,
        certificate: Certificate | None = None,
    ) -> None:
        self._folder = folder
        self._state = folder / "rabbitmq"
        self._settings = settings
        self._usual_ports = usual_ports
        self._certificate = certificate
        self._node = Process(folder, "rabbitmq")
        self._epmd = Process(folder, "epmd")
        self.private = not os.environ.get(MANAGEMENT_URL)
        """Whether this is a broker of our own, which `stop`, `kill` and `restart` work on."""
        if not self.private and not os.environ.get(AMQP_URL):
            raise StartError(f"{MANAGEMENT_URL} is set, so {AMQP_URL} (amqp://host:port) must be set too")

    @property
    def address(self) -> str:
        """Where AMQP clients connect, as host:port."""
        if not self.private:
            return urlsplit(os.environ[AMQP_URL]).netloc.rpartition("@")[2]
        return f"127.0.0.1:{self._ports()['amqp']}"

    @property
    def management_url(self) -> str:
        """The management API, with the administrator's name and password."""
        if not self.private:
            return os.environ[MANAGEMENT_URL]
        return f"http://admin:{self._settings[broker_password('admin')]}@127.0.0.1:{self._ports()['ui']}"

    @property
    def ui_url(self) -> str:
        """What a person opens in a browser."""
        parts = urlsplit(self.management_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"

    @property
    def management(self) -> Management:
        """The management API, to provision with or to look at."""
        return Management(self.management_url)

    @property
    def pid(self) -> int | None:
        """The process id of our own broker while it runs."""
        return self._node.pid

    def start(self) -> None:
        """Return once the broker is ready. Raises `StartError` or `NoPart`; nothing is left running then."""
        try:
            if self.private:
                program = sources.rabbitmq()
                start_on_free_port(lambda: self._start_private(program), self.stop)
            else:
                self._wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the broker and its port mapper; its messages stay in its folder."""
        self._node.stop(wait_s=30)
        self._epmd.stop()

    def kill(self) -> None:
        """SIGKILL the broker; `start` brings it back with what it had written."""
        if not self.private:
            raise RuntimeError("this broker was named by the caller, and is not ours to kill")
        self._node.kill()

    def restart(self) -> None:
        """Stop and start, on the same ports and with the same messages."""
        self.stop()
        self.start()

    def _start_private(self, program: sources.RabbitMQ) -> None:
        self._start_node(program)
        self._wait_ready()

    def _start_node(self, program: sources.RabbitMQ) -> None:
        account = unprivileged()
        self._state.mkdir(parents=True, exist_ok=True)
        if account:
            account.own(self._state)
        self._choose_ports()
        files = self._write_configuration()
        env = self._environment(program)
        if account:
            account.own(*files)
        if not self._epmd.pid:
            epmd: list[str | Path] = [
                program.erlang_bin / "epmd",
                "-address",
                "127.0.0.1",
                "-port",
                env["ERL_EPMD_PORT"],
            ]
            self._epmd.start(epmd, env, account, cwd=self._state)
        self._node.start([program.server], env, account, cwd=self._state)

    def _wait_ready(self) -> None:
        end = time.monotonic() + START_S_MAX
        port = int(self._ports()["amqp"]) if self.private else None
        while problem := self.management.ready(port):
            if self.private and not self._node.pid:
                raise self._node.fail("it ended while starting")
            if ": 401 " in problem:
                if self.private and self._node.wait_gone(15):  # so another broker answered, on the port we wanted
                    continue
                remedy = f"restore .env, or remove {self._state}" if self.private else f"check {MANAGEMENT_URL}"
                raise StartError(f"the broker refuses the administrator's password: {remedy}")
            if time.monotonic() > end:
                why = f"it was not ready after {START_S_MAX} s: {problem}"
                raise (
                    self._node.fail(why)
                    if self.private
                    else StartError(f"the broker that {MANAGEMENT_URL} names: {why}")
                )
            time.sleep(0.1)

    def _ports(self) -> dict[str, str]:
        found = read(self._folder / "rabbitmq.ports")
        if not found:
            raise StartError("the broker has no ports yet: start it first")
        return found

    def _choose_ports(self) -> None:
        """Last time's ports, as far as they are free. The node's name never changes: it finds its messages by it."""
        file = self._folder / "rabbitmq.ports"
        names = {"amqp": "HOLDFAST_AMQP_PORT", "ui": "HOLDFAST_UI_PORT"} if self._usual_ports else {}
        usual = {port: self._settings[name] for port, name in names.items()}
        wanted = {**usual, **read(file)}
        kept = {"epmd"} if self._epmd.pid else set()
        ports = {
            name: wanted[name] if name in kept else str(free_port(int(wanted.get(name, 0))))
            for name in ("amqp", "ui", "dist", "epmd")
        }
        ports["node"] = wanted.get("node", f"holdfast-{secrets.token_hex(4)}@localhost")
        write(file, "".join(f"{name}={value}\n" for name, value in ports.items()))

    def _write_configuration(self) -> list[Path]:
        ports = self._ports()
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{ports['amqp']}",
            "management.tcp.ip": "127.0.0.1",
            "management.tcp.port": ports["ui"],
            "default_user": "admin",
            "default_pass": self._settings[broker_password("admin")],
            "vm_memory_high_watermark.absolute": "1GiB",
            "disk_free_limit.absolute": "200MB",
            "max_message_size": str(MESSAGE_BYTES_MAX),
            "auth_mechanisms.1": "PLAIN",
            "log.console.level": "info",
        }
        if self._certificate:
            chain, key = self._certificate.copy(self._state, unprivileged())
            settings["listeners.ssl.1"] = settings.pop("listeners.tcp.1")
            settings |= {
                "listeners.tcp": "none",
                "ssl_options.cacertfile": str(chain),
                "ssl_options.certfile": str(chain),
                "ssl_options.keyfile": str(key),
            }
        configuration, plugins = self._state / "rabbitmq.conf", self._state / "enabled_plugins"
        write(configuration, "".join(f"{name} = {value}\n" for name, value in settings.items()))
        write(plugins, "[rabbitmq_management].\n")
        return [configuration, plugins]

    def _environment(self, program: sources.RabbitMQ) -> dict[str, str]:
        """All that the node may know: nothing of the system's own RabbitMQ, and nothing of the caller."""
        ports, state = self._ports(), self._state
        return {
            "PATH": f"{program.erlang_bin}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(state),
            "LC_ALL": "C.UTF-8",
            "ERL_CRASH_DUMP_SECONDS": "0",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": ports["epmd"],
            "RABBITMQ_NODENAME": ports["node"],
            "RABBITMQ_DIST_PORT": ports["dist"],
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(state / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(state / "none.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(state / "none.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(state / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(state / "generated"),
            "RABBITMQ_MNESIA_BASE": str(state / "data"),
            "RABBITMQ_LOG_BASE": str(state / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(state / "node.pid"),
        }
