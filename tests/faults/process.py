"""A service that ends itself by SIGKILL at a step: `python -m tests.faults.process SERVICE --job JOB --die-at POINT`.

Apart from that it is the service as it always runs. `--after` names the time it reaches the step that is its last.
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
from messaging.checkpoints import STEPS, Checkpoint, Job
from messaging.service import run
from messaging.settings import read_settings
from tests.service.sites import MODULES


def start_doomed(service: Service, job: Job, point: Checkpoint, times: int) -> Process:
    """Start this instance of the service as one that dies when the job reaches the point for the `times`-th time.

    It asks for each answer again almost at once, so that its clock has work.
    """
    end = ["--job", job, "--die-at", point, "--after", str(times)]
    command = [sys.executable, "-m", "tests.faults.process", service.name, *end]
    impatient = {f"{service.name.upper()}_ASK_AGAIN_S": "0.1"}
    service.process.start(command, {**os.environ, **service.env, **impatient}, cwd=PROJECT)
    return service.process


class Doom:
    """Kills the process when the job reaches the point for the `times`-th time. Ends it if it takes a step that
    `STEPS` does not know of.
    """

    def __init__(self, job: Job, point: Checkpoint, times: int) -> None:
        self._job, self._point, self._left = job, point, times

    async def __call__(self, checkpoint: Checkpoint) -> None:
        task = asyncio.current_task()
        job = task.get_name() if task else ""
        if not any(job == each and checkpoint in points for each, points in STEPS.items()):
            print(f"no step of any job: {job!r}, {checkpoint!r}", file=sys.stderr, flush=True)
            os._exit(1)
        if (job, checkpoint) == (self._job, self._point):
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run the service that the command line names, with its end in sight."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.process", description=__doc__)
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument("--job", required=True, choices=STEPS)
    parser.add_argument("--die-at", required=True, choices=get_args(Checkpoint))
    parser.add_argument("--after", type=int, default=1)
    given = parser.parse_args()
    name: Name = given.service
    domain, settings = MODULES[name]
    read = read_settings(settings)
    asyncio.run(run(domain(read), read, Doom(given.job, given.die_at, given.after)))


if __name__ == "__main__":
    main()
