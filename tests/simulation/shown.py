"""How far a long run has come: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.progress import Progress

EVERY_S = 30.0


class Shown:
    """The progress of `total` runs."""

    def __init__(self, name: str, total: int) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(console=self._console, transient=True)
        self._task = self._bar.add_task(name, total=total)
        self._name, self._total, self._done, self._said = name, total, 0, time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, runs: int) -> None:
        """So many more are done."""
        self._done += runs
        self._bar.advance(self._task, runs)
        if not self._console.is_terminal and time.monotonic() > self._said + EVERY_S:
            self._said = time.monotonic()
            self._console.print(f"{self._name}: {self._done} of {self._total}", highlight=False)
