"""Which system user runs the broker and the database, and where that user's files can be."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Account:
    """A system user other than the one who runs this program."""

    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> dict[str, Any]:
        """What makes `subprocess` start a program as this user and with no other group's rights."""
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "umask": 0o077}

    def own(self, *paths: Path) -> None:
        """Give files or folders to this user."""
        for path in paths:
            os.chown(path, self.uid, self.gid)


def unprivileged() -> Account | None:
    """Who runs the parts when root starts them: PostgreSQL refuses root, and the broker does not need it.

    None for an ordinary user, who runs them as themselves.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise RuntimeError("root needs a user `postgres` or `nobody` to run PostgreSQL as, and this system has neither")


def usable_folder(wanted: Path) -> Path:
    """`wanted`, or else a stand-in for it below /var/tmp; made if need be.

    RabbitMQ's scripts cannot be in a path with a space, and when root starts the parts, the user who runs them may be
    unable to enter the path, as with a clone in root's home.
    """
    wanted = wanted.absolute()
    wanted.mkdir(parents=True, exist_ok=True)
    if _is_usable(wanted):
        return wanted
    digest = hashlib.sha256(str(wanted).encode()).hexdigest()[:12]
    return _private(Path("/var/tmp") / f"holdfast-{os.geteuid()}-{digest}")  # noqa: S108  `_private` checks its owner


def temporary_folder() -> Path:
    """A fresh folder that the parts can use. The caller deletes it."""
    for base in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108  mkdtemp makes it safely
        folder = Path(tempfile.mkdtemp(prefix="holdfast-", dir=base))
        if _is_usable(folder):
            return folder
        folder.rmdir()
    raise RuntimeError("no temporary folder can be entered by the user who is to run PostgreSQL; set TMPDIR to one")


def _is_usable(folder: Path) -> bool:
    if not re.fullmatch(r"[\w./+@%,:=-]+", str(folder), re.ASCII):
        return False
    if os.geteuid() != 0:
        return True
    folder.chmod(folder.stat().st_mode | 0o011)
    return all(step.stat().st_mode & stat.S_IXOTH for step in folder.resolve().parents)


def _private(folder: Path) -> Path:
    """Make `folder`, or check that nobody else made it or can change it."""
    folder.mkdir(mode=0o711, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise RuntimeError(f"{folder} belongs to somebody else or can be changed by others; remove it")
    folder.chmod(0o711)
    return folder
