"""A service that ends itself by SIGKILL at a checkpoint: `python -m tests.faults.process SERVICE --die-at POINT`.

Apart from that it is the service as it always runs. `--after` names the time it reaches the point that is its last.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from typing import get_args

from contracts.base import Service as Name
from contracts.topology import SERVICES
from local.processes import Process
from local.service import Service
from local.sources import PROJECT
from messaging.checkpoints import Checkpoint
from messaging.service import run
from messaging.settings import read_settings
from tests.service.sites import MODULES


def start_doomed(service: Service, point: Checkpoint, times: int) -> Process:
    """Start this instance of the service as one that dies when it reaches the point for the `times`-th time."""
    command = [sys.executable, "-m", "tests.faults.process", service.name, "--die-at", point, "--after", str(times)]
    service.process.start(command, {**os.environ, **service.env}, cwd=PROJECT)
    return service.process


class Doom:
    """Kills the process when the point is reached for the `times`-th time."""

    def __init__(self, point: Checkpoint, times: int) -> None:
        self._point, self._left = point, times

    async def __call__(self, checkpoint: Checkpoint) -> None:
        if checkpoint == self._point:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run the service that the command line names, with its end in sight."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.process", description=__doc__)
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument("--die-at", required=True, choices=get_args(Checkpoint))
    parser.add_argument("--after", type=int, default=1)
    given = parser.parse_args()
    name: Name = given.service
    domain, settings = MODULES[name]
    read = read_settings(settings)
    asyncio.run(run(domain(read), read, Doom(given.die_at, given.after)))


if __name__ == "__main__":
    main()
