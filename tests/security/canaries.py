"""Everything that a running system shows or keeps, gathered to be searched for secrets."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.error import HTTPError
from urllib.parse import quote
from uuid import uuid4

import asyncpg
from aiormq.abc import AbstractChannel
from pamqp.commands import Basic

from contracts.topology import SERVICES
from local.processes import Process, _descendants
from local.site import Site
from local.sources import PROJECT
from provision.databases import owner
from provision.direct import open_directly

CALL_S_MAX = 100


@dataclass
class Places:
    """What was found, by where it was found."""

    found: dict[str, list[bytes]] = field(default_factory=dict)

    def add(self, place: str, *contents: bytes | str) -> None:
        """More that was found there."""
        raw = [each if isinstance(each, bytes) else each.encode() for each in contents]
        self.found.setdefault(place, []).extend(raw)

    def hold(self, place: str, text: str) -> bool:
        """Whether this text was found there."""
        return any(text.encode() in each for each in self.found.get(place, []))

    def leaks(self, secrets: Mapping[str, str]) -> list[str]:
        """Each place that shows a secret, plainly or in one of the forms that a login takes."""
        return [
            f"{name} in {place}: …{_around(content, form)}…"
            for name, secret in secrets.items()
            for form in _forms(name, secret)
            for place, contents in self.found.items()
            for content in contents
            if form in content
        ]


def _forms(name: str, secret: str) -> Iterable[bytes]:
    user = name.removeprefix("HOLDFAST_BROKER_").removesuffix("_PASSWORD").lower()
    plain = secret.encode()
    return {plain, base64.b64encode(plain), base64.b64encode(f"{user}:{secret}".encode()), quote(secret).encode()}


def _around(content: bytes, form: bytes) -> str:
    at = content.index(form)
    return content[max(0, at - 120) : at].decode(errors="replace")


def call(*words: str, env: Mapping[str, str], folder: Path = PROJECT, until: str = "(?!)") -> str:
    """What Python prints with these arguments, in exactly this environment, until it ends or has said `until`."""
    # Read by another handle: at this one, looking would move where the child writes.
    with NamedTemporaryFile("w") as output:
        child = subprocess.Popen(
            [sys.executable, *words],
            cwd=folder,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(PROJECT),
                "PYTHONUNBUFFERED": "1",
                "HOME": str(folder),
                **env,
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        end = time.monotonic() + CALL_S_MAX
        said = ""
        while child.poll() is None and not re.search(until, said) and time.monotonic() < end:
            time.sleep(0.05)
            said = Path(output.name).read_text(errors="replace")
        child.kill()
        code = child.wait()
        said = Path(output.name).read_text(errors="replace")
        return f"{' '.join(words)}\n{said}\nexit code {code}"


def redeem(env: Mapping[str, str], folder: Path, taken: str, unknown: str) -> list[str]:
    """What the command line says to who redeems a code that there is, and one that there is not.

    Without the arguments: who sets or redeems a code knows it.
    """
    program = partial(call, "-m", "client.cli", env=env, folder=folder)
    assert "exit code 0" in program("promo", "put", taken, "--bonus", "7")
    assert "exit code 0" in program("account", "open", "songbird")
    said = [program("promo", "redeem", "songbird", code, "--wait").partition("\n")[2] for code in (taken, unknown)]
    assert "redeemed" in said[0], said
    assert "refused" in said[1], said
    # Behind what never comes it is not answered, so the command line remembers it.
    program("account", "credit", "songbird", "1", "--after", str(uuid4()), "--timeout", "0.5")
    return said


def page(url: str) -> bytes:
    """What a service's page shows, healthy or not."""
    try:
        with open_directly(url, within_s=10) as answer:
            return bytes(answer.read())
    except HTTPError as error:
        with error:
            return error.read()


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """An endpoint for traces: its URL, and what was exported to it."""
    exported: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            exported.append(str(self.headers).encode() + body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", exported
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def drain(channel: AbstractChannel, queue: str) -> list[bytes]:
    """All messages of a queue, with their properties."""
    found: list[bytes] = []
    while True:
        got = await channel.basic_get(queue, no_ack=True)
        if not isinstance(got.delivery, Basic.GetOk):
            return found
        found.append(repr(dict(got.header.properties)).encode() + bytes(got.body))


async def tables(site: Site) -> list[bytes]:
    """Every row of every table of the three databases."""
    found = []
    for service in SERVICES:
        connection = await asyncpg.connect(site.database_url(service, owner(service)))
        for row in await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname !~ '^(pg|sql)_'"
        ):
            rows = await connection.fetch(f'SELECT t::text AS line FROM "{row["relname"]}" t')
            found += [f"{row['relname']}: {each['line']}".encode() for each in rows]
            if row["relname"] == "outbox":
                found += [each["body"] for each in await connection.fetch("SELECT body FROM outbox")]
        await connection.close()
    return found


async def activity(admin_url: str) -> list[bytes]:
    """What PostgreSQL shows of its connections."""
    connection = await asyncpg.connect(admin_url)
    rows = await connection.fetch("SELECT a::text AS line FROM pg_stat_activity a")
    await connection.close()
    return [each["line"].encode() for each in rows]


def command_lines(folder: Path) -> list[bytes]:
    """What every user of the machine sees of the processes recorded in the folder, and of those they started."""
    leaders = [each.pid for each in Process.all_in(folder) if each.pid]
    pids = [pid for leader in leaders for pid in (leader, *_descendants(leader))]
    files = [Path(f"/proc/{pid}/cmdline") for pid in pids]
    return [file.read_bytes() for file in files if file.exists()]


def as_bytes(value: object) -> bytes:
    """Whatever an interface answered."""
    return json.dumps(value, default=str).encode()
