"""One running instance of a service, as a process of its own."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

from contracts.services import participant
from local.processes import Process
from local.sources import PROJECT
from provision.direct import open_directly

START_S_MAX = 60


class Service:
    """The service `name` with `env`; its log and process id are in `folder` under `label`."""

    def __init__(self, folder: Path, label: str, name: str, http_port: int, env: Mapping[str, str]) -> None:
        self.name = name
        self.env = dict(env)
        self.url = f"http://127.0.0.1:{http_port}"
        self.process = Process(folder, label)

    def start(self, wait: bool = True) -> None:
        """Start the process and, unless told otherwise, wait until it is healthy."""
        command = [sys.executable, "-m", participant(self.name).module]
        self.process.start(command, {**os.environ, "PYTHONUNBUFFERED": "1", **self.env}, cwd=PROJECT)
        if wait:
            self.wait_healthy()

    def healthy(self) -> bool:
        """Whether /health answers 200 now, and not for another process that has our port."""
        try:
            with open_directly(f"{self.url}/health", within_s=5) as answer:
                said = json.load(answer)
                return bool(said.get("pid", self.process.pid) == self.process.pid)
        except (URLError, OSError, ValueError):
            return False

    def wait_healthy(self, wait_s: float = START_S_MAX) -> None:
        """Return once it is healthy. Raises `StartError` with the end of its log, and stops it, if it never is."""
        end = time.monotonic() + wait_s
        while not self.healthy():
            ended = not self.process.pid
            if ended or time.monotonic() > end:
                error = self.process.fail("it ended while starting" if ended else f"not healthy after {wait_s:.0f} s")
                self.process.stop()
                raise error
            time.sleep(0.05)

    def stop(self, wait_s: float = 15) -> int | None:
        """SIGTERM, and SIGKILL if that takes longer than `wait_s`. Returns the exit code, if we started it."""
        return self.process.stop(wait_s)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
