"""A service that ends itself by SIGKILL at a step: `python -m tests.faults.process SERVICE --job JOB --die-at POINT`.

Apart from that it is the service as it always runs, unless `--broken` names rules of tests/faults/broken.py that it is
not to keep. `--after` names the time it reaches the step that is its last; without a step it lives on.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import get_args

import pytest

from contracts.topology import SERVICES
from holdfast.delivery.checkpoints import STEPS, Checkpoint, Job
from holdfast.delivery.service import run
from holdfast.delivery.settings import read_settings
from holdfast.delivery.words import Service as Name
from local.processes import Process
from local.service import Service
from local.sources import PROJECT
from tests.faults.broken import BREAKS
from tests.service.sites import program

KILL_S_MAX = 60.0


def start_doomed(service: Service, job: Job, point: Checkpoint, times: int, broken: Sequence[str] = ()) -> Process:
    """Start this instance of the service as one that dies when the job reaches the point for the `times`-th time.

    It asks for each answer again almost at once, so that its clock has work. `broken`: rules that it does not keep.
    """
    return _start(service, ["--job", job, "--die-at", point, "--after", str(times)], broken)


def start_broken(service: Service, broken: Sequence[str]) -> None:
    """Start this instance of the service as one that does not keep these rules; returns once it is healthy."""
    _start(service, [], broken)
    service.wait_healthy()


def _start(service: Service, end: Sequence[str], broken: Sequence[str]) -> Process:
    rules = [word for rule in broken for word in ("--broken", rule)]
    command = [sys.executable, "-m", "tests.faults.process", service.name, *end, *rules]
    impatient = {f"{service.name.upper()}_ASK_AGAIN_S": "0.1"}
    service.process.start(command, {**os.environ, **service.env, **impatient}, cwd=PROJECT)
    return service.process


async def live_and_die(
    service: Service, job: Job, point: Checkpoint, times: int = 1, broken: Sequence[str] = ()
) -> None:
    """One life of the service, from its start to the point that is its last. Raises `AssertionError` if it never comes
    to that, or ends otherwise.
    """
    process = start_doomed(service, job, point, times, broken)
    died = await asyncio.to_thread(process.wait_gone, KILL_S_MAX)
    assert died, f"{job} of {service.name} never came to {point!r} {times} times:\n{process.tail()}"
    was_killed(service)


def was_killed(service: Service) -> None:
    """Raises `AssertionError` if the process that is gone ended otherwise than by SIGKILL."""
    assert service.process.stop() == -signal.SIGKILL, f"{service.name} ended by itself:\n{service.process.tail()}"


class Doom:
    """Kills the process when the job, if any, reaches the point for the `times`-th time. Ends it if it takes a step
    that `STEPS` does not know of.
    """

    def __init__(self, job: Job | None, point: Checkpoint | None, times: int) -> None:
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
    parser.add_argument("--job", choices=STEPS)
    parser.add_argument("--die-at", choices=get_args(Checkpoint))
    parser.add_argument("--after", type=int, default=1)
    parser.add_argument("--broken", action="append", default=[], choices=BREAKS)
    given = parser.parse_args()
    if (given.job is None) != (given.die_at is None):
        parser.error("--job and --die-at name its last step together")
    for rule in given.broken:
        BREAKS[rule](pytest.MonkeyPatch())
    name: Name = given.service
    domain, settings = program(name)
    read = read_settings(settings)
    asyncio.run(run(domain(read), read, Doom(given.job, given.die_at, given.after)))


if __name__ == "__main__":
    main()
