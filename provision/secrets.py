"""Passwords and ports of one installation, in a file that git ignores. It runs before set-up, so it imports nothing but
the standard library and `contracts.services`.

`python -m provision.secrets [FILE]` makes the file (default `.env`) or adds what it lacks; values it has are kept.
"""

from __future__ import annotations

import fcntl
import os
import random
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from contracts.services import PARTICIPANTS, SERVICES

VHOST = "holdfast"
BROKER_USERS = ("admin", *SERVICES, "client", "operator")
DATABASE_ROLES = ("postgres", *(f"{name}_owner" for name in SERVICES), *SERVICES, "auditor")
KEYS = tuple(key for each in PARTICIPANTS for key in each.keys)
"""Settings of services that are secrets. With another value, what was kept by the first one is lost."""
PORTS = {"HOLDFAST_AMQP_PORT": 5672, "HOLDFAST_UI_PORT": 15672, "HOLDFAST_POSTGRES_PORT": 5432}
"""The ports that compose publishes on loopback, and what each is where nothing else has it."""

_HEADER = (
    "# Passwords and ports of this installation, made by `make env`. Not for git; delete a line to have it made anew."
)


def broker_password(user: str) -> str:
    """The name of the setting that holds a broker user's password."""
    return f"HOLDFAST_BROKER_{user.upper()}_PASSWORD"


def database_password(role: str) -> str:
    """The name of the setting that holds a database role's password."""
    return f"HOLDFAST_DATABASE_{role.upper()}_PASSWORD"


def amqp_url(settings: Mapping[str, str], user: str, address: str, vhost: str = VHOST) -> str:
    """Where `user` reaches the broker that listens on `address` (host:port)."""
    return f"amqp://{user}:{settings[broker_password(user)]}@{address}/{vhost}"


def database_url(settings: Mapping[str, str], role: str, address: str, database: str) -> str:
    """Where `role` reaches `database` in the cluster that listens on `address` (host:port)."""
    return f"postgresql://{role}:{settings[database_password(role)]}@{address}/{database}"


def client_urls(settings: Mapping[str, str], broker: str, cluster: str, name: str = "") -> dict[str, str]:
    """What the command line needs to reach a system: `broker` and `cluster` are host:port, `name` that of the site."""
    vhost, prefix = (name, f"{name}_") if name else (VHOST, "")
    return {
        "HOLDFAST_AMQP_URL": amqp_url(settings, "client", broker, vhost),
        "HOLDFAST_OPERATOR_AMQP_URL": amqp_url(settings, "operator", broker, vhost),
        "HOLDFAST_AUDIT_DATABASE_URL": database_url(settings, "auditor", cluster, prefix + "{service}"),
    }


def free_port(preferred: int = 0) -> int:
    """A TCP port of loopback that nobody listens on: the preferred one if it is free.

    Others come from below the range that systems use for outgoing connections, so that a server that is restarted
    finds its port still free.
    """
    for port in (preferred, *random.SystemRandom().sample(range(20_000, 32_000), 200)):
        if port and _is_free(port):
            return port
    raise RuntimeError("no free TCP port between 20000 and 32000 on 127.0.0.1")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def read(path: Path) -> dict[str, str]:
    """The settings in a file of NAME=value lines; none if there is no such file."""
    if not path.exists():
        return {}
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def ensure(path: Path) -> dict[str, str]:
    """The settings in `path`, after making the file or adding what it lacks. Only its owner can read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        settings = read(path)
        missing = _missing(settings)
        if missing or not path.exists():
            before = path.read_text() if path.exists() else _HEADER + "\n"
            before += "" if before.endswith("\n") else "\n"
            write(path, before + "".join(f"{name}={value}\n" for name, value in missing.items()))
        path.chmod(0o600)
        return settings | missing


def write(path: Path, text: str) -> None:
    """Replace `path` in one step by a file that only its owner can read."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _missing(settings: Mapping[str, str]) -> dict[str, str]:
    names = [broker_password(user) for user in BROKER_USERS] + [database_password(role) for role in DATABASE_ROLES]
    wanted = {name: secrets.token_hex(20) for name in names if not settings.get(name)}
    wanted |= {name: secrets.token_hex(32) for name in KEYS if not settings.get(name)}
    if not settings.get("COMPOSE_PROJECT_NAME"):
        wanted["COMPOSE_PROJECT_NAME"] = f"holdfast-{secrets.token_hex(3)}"  # or two clones would share containers
    wanted |= {name: str(free_port(port)) for name, port in PORTS.items() if not settings.get(name)}
    known = {**settings, **wanted}
    urls = client_urls(
        known, f"127.0.0.1:{known['HOLDFAST_AMQP_PORT']}", f"127.0.0.1:{known['HOLDFAST_POSTGRES_PORT']}"
    )
    return wanted | {name: url for name, url in urls.items() if not settings.get(name)}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep two first uses at the same time from making two sets of passwords."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ".env")
    ensure(target)
    print(f"{target}: ready")
