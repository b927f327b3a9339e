"""What the command line remembers from one call to the next: each account's commands whose answer is not known yet."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from platformdirs import user_state_path
from pydantic import RootModel, ValidationError

from client.recent import Earlier, elders, fresh

if sys.platform != "win32":
    import fcntl

LOCK_S_MAX = 2.0


Accounts = dict[str, list[Earlier]]
Changed = TypeVar("Changed")


class _Kept(RootModel[Accounts]):
    """Earlier commands by account."""


class Recall:
    """Remembers in a file of its own for each broker. A file that cannot be read counts as empty.

    `problem`: why nothing could be remembered, or None; a command is sent all the same.
    """

    def __init__(self, amqp_url: str, folder: Path | None = None) -> None:
        parts = urlsplit(amqp_url)
        place = f"{parts.hostname}:{parts.port or 5672}{parts.path or '/'}"
        self._folder = folder or user_state_path("holdfast", appauthor=False)
        self._file = self._folder / f"recent-{hashlib.sha256(place.encode()).hexdigest()[:16]}.json"
        self.problem: str | None = None

    def follow(self, account_id: str, own_id: UUID, after: tuple[UUID, ...] | None, now: float) -> tuple[UUID, ...]:
        """See `client.recent.Memory`."""

        def change(accounts: Accounts) -> tuple[UUID, ...]:
            known = accounts.get(account_id, [])
            named = elders(known, own_id, now) if after is None else after
            accounts[account_id] = [*known, Earlier(own_id, named, now)]
            return named

        return self._change(change, now)

    def forget(self, account_id: str, own_id: UUID) -> None:
        """See `client.recent.Memory`. What is not in the file, or cannot be read, costs nothing and is no problem."""

        def change(accounts: Accounts) -> None:
            accounts[account_id] = [each for each in accounts.get(account_id, []) if each.id != own_id]

        if self._mentions(own_id):
            self._change(change, time.time())

    def _change(self, change: Callable[[Accounts], Changed], now: float) -> Changed:
        """Change what is known, locked against other writers."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with _locked(self._file.with_suffix(".lock")):
                accounts = self._read()
                changed = change(accounts)
                self._write({name: kept for name, known in accounts.items() if (kept := fresh(known, now))})
                return changed
        except OSError as error:
            self.problem = (
                f"recent commands are not remembered ({error}), so this command can overtake the one before it; "
                "set HOLDFAST_STATE_DIR to a folder that can be written"
            )
            return change({})

    def _mentions(self, own_id: UUID) -> bool:
        try:
            return str(own_id).encode() in self._file.read_bytes()
        except OSError:
            return False

    def _read(self) -> dict[str, list[Earlier]]:
        try:
            return _Kept.model_validate_json(self._file.read_bytes()).root
        except (FileNotFoundError, ValidationError):
            return {}

    def _write(self, accounts: dict[str, list[Earlier]]) -> None:
        handle, name = tempfile.mkstemp(dir=self._file.parent, prefix=self._file.name)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(_Kept(accounts).model_dump_json())
            Path(name).replace(self._file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file. Raises `OSError` if another holds it for longer than `LOCK_S_MAX` seconds."""
    with path.open("a") as file:
        if sys.platform != "win32":
            deadline = time.monotonic() + LOCK_S_MAX
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.005)
        yield
