"""Ends what a program started as soon as that program is gone, however it went: returned, failed, or killed.

`python -m local.guard FOLDER` waits for the end of its input, which the program holds open, then kills every process
recorded in the folder and deletes it. What is there was only for that program's use.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.account import temporary_folder
from local.certificate import Certificate
from local.parts import Parts
from local.postgres import Postgres
from local.processes import Process
from local.sources import PROJECT


@contextmanager
def throwaway_parts(settings: Mapping[str, str], certificate: Certificate | None = None) -> Iterator[Parts]:
    """Started parts in a temporary folder; at the end they, the folder and all services of their sites are gone."""
    folder = temporary_folder()
    with _guarded(folder):
        parts = Parts(folder, settings, fsync=False, certificate=certificate)
        parts.start()
        yield parts


@contextmanager
def throwaway_postgres(settings: Mapping[str, str]) -> Iterator[Postgres]:
    """A cluster alone, in the same way."""
    folder = temporary_folder()
    with _guarded(folder):
        cluster = Postgres(folder, settings, fsync=False)
        cluster.start()
        yield cluster


@contextmanager
def _guarded(folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "local.guard", str(folder)]
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=PROJECT, start_new_session=True)
    try:
        yield
    finally:
        assert guard.stdin
        guard.stdin.close()
        guard.wait()


def main() -> None:
    """Wait for the end of the input, then clear the folder named as argument."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    folder = Path(sys.argv[1])
    for process in Process.all_in(folder):
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
