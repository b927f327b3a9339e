"""Where the broker's and the database's programs come from: installed ones, or else ones fetched for this project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from local import fetch
from local.account import usable_folder

RABBITMQ_MIN = (3, 10)
"""The first RabbitMQ whose quorum queues dead-letter at least once."""
POSTGRES_MIN = 13
PROJECT = Path(__file__).resolve().parent.parent
STATE = PROJECT / ".holdfast"


class NoPart(RuntimeError):
    """A part can be had in none of the ways; the text says what was tried and what to do."""


@dataclass(frozen=True)
class RabbitMQ:
    """The server's own start script (not a distribution's wrapper, which wants root), and Erlang's programs."""

    server: Path
    erlang_bin: Path
    origin: str


@dataclass(frozen=True)
class PostgreSQL:
    """The folder that has `initdb` and `postgres`."""

    bin: Path
    origin: str


def rabbitmq() -> RabbitMQ:
    """An installed RabbitMQ, or one fetched from the system's package registry. Raises `NoPart`."""
    if not _only_local() and (found := _installed_rabbitmq()):
        return found
    try:
        root = fetch.rabbitmq(parts_folder())
    except fetch.CannotFetch as error:
        raise NoPart(
            f"No RabbitMQ {'.'.join(map(str, RABBITMQ_MIN))} or later is installed, and none can be fetched: {error}\n"
            "Remedies: install rabbitmq-server; or start one anywhere and name it in HOLDFAST_RABBITMQ_MANAGEMENT_URL "
            "and HOLDFAST_RABBITMQ_AMQP_URL; or use compose.yaml."
        ) from None
    server = _newest(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
    if server is None or _version(server) < RABBITMQ_MIN:
        raise NoPart(
            f"The package registry of this system has a RabbitMQ that is too old ({server}).\n"
            "Remedies: start a newer one anywhere and name it in HOLDFAST_RABBITMQ_MANAGEMENT_URL and "
            "HOLDFAST_RABBITMQ_AMQP_URL; or use compose.yaml."
        )
    return RabbitMQ(server, root / "usr/lib/erlang/bin", "project-local packages")


def postgresql() -> PostgreSQL:
    """An installed PostgreSQL, or one that comes as a wheel. Raises `NoPart`."""
    if not _only_local() and (found := _installed_postgresql()):
        return found
    try:
        folder = fetch.postgresql(parts_folder(), PROJECT / "requirements" / "postgres.lock")
    except fetch.CannotFetch as error:
        raise NoPart(
            f"No PostgreSQL {POSTGRES_MIN} or later is installed, and none can be fetched: {error}\n"
            "Remedies: install postgresql; or start one anywhere and name it in HOLDFAST_POSTGRES_ADMIN_URL; "
            "or use compose.yaml."
        ) from None
    return PostgreSQL(folder, "project-local wheel")


def spin() -> Path:
    """An installed Spin, or one fetched from the system's package registry. Raises `NoPart`."""
    if not _only_local() and (found := shutil.which("spin")):
        return Path(found)
    try:
        return fetch.spin(parts_folder())
    except fetch.CannotFetch as error:
        raise NoPart(
            f"No Spin is installed, and none can be fetched: {error}\nRemedy: install Debian's package spin."
        ) from None


def parts_folder() -> Path:
    """Where fetched parts are kept: HOLDFAST_PARTS_DIR, which several clones may share, or the clone's own."""
    return usable_folder(Path(os.environ.get("HOLDFAST_PARTS_DIR") or STATE / "parts"))


def _only_local() -> bool:
    return os.environ.get("HOLDFAST_PARTS") == "local"


def _installed_rabbitmq() -> RabbitMQ | None:
    erl = shutil.which("erl")
    server = _newest(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    on_path = shutil.which("rabbitmq-server")
    if server is None and on_path and "script-wrapper" not in str(Path(on_path).resolve()):
        server = Path(on_path).resolve()
    if server is None or erl is None or _version(server) < RABBITMQ_MIN:
        return None
    return RabbitMQ(server, Path(erl).resolve().parent, "installed")


def _installed_postgresql() -> PostgreSQL | None:
    folders = [Path(found).parent for found in [shutil.which("postgres")] if found]
    folders += Path("/usr/lib/postgresql").glob("*/bin")
    if config := shutil.which("pg_config"):
        said = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        folders.append(Path(said.stdout.strip() or "."))
    usable = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    newest = max(usable, key=_postgres_major, default=None)
    return PostgreSQL(newest, "installed") if newest and _postgres_major(newest) >= POSTGRES_MIN else None


def _postgres_major(folder: Path) -> int:
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    number = re.search(r"\d+", said)
    return int(number.group()) if number else 0


def _newest(servers: Iterable[Path]) -> Path | None:
    return max(servers, key=_version, default=None)


def _version(server: Path) -> tuple[int, int]:
    """The version that the path names; the least that will do if it names none, as then only starting it can tell."""
    number = re.search(r"(?:rabbitmq_server-|rabbitmq/)(\d+)\.(\d+)", str(server))
    return (int(number[1]), int(number[2])) if number else RABBITMQ_MIN
