"""A service is killed before and after each step of delivery, again and again, and whoever starts it again is all the
help it gets.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import cast

import pytest

from contracts.topology import SERVICES
from holdfast.delivery.checkpoints import STEPS, Checkpoint, Job
from holdfast.delivery.unit_of_work import ATTEMPTS_MAX
from holdfast.delivery.words import Service as Name
from tests.evidence import record
from tests.faults.process import live_and_die, start_doomed, was_killed
from tests.faults.stage import Stage
from tests.faults.steps import Code
from tests.faults.traffic import Traffic

CODE = Code.of_delivery()
KILLS = [(job, cast(Checkpoint, point)) for job in STEPS for point in CODE.points(job)]
"""Each point of each job, as the code has them: see test_steps.py for whether it has enough."""
ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "1"))
FIRST_ROUND = int(os.environ.get("HOLDFAST_FIRST_ROUND", "1"))
TIMES_MAX: dict[Job, int] = {"consumer": 4, "relay": 4}
AT_WORK = 10
KILLS_TOGETHER = ATTEMPTS_MAX // 2
"""After so many, each of at most two lives, the service lives on for a while: it parks a message that it had in hand at
more than `ATTEMPTS_MAX` deaths in a row."""
SWEEPS_MAX, SWEEP_S_MAX = 4, 12.0
LIVES_MAX = 10


@pytest.mark.timeout(240 * (ROUNDS + 1))
@pytest.mark.parametrize("name", SERVICES)
async def test_whatever_step_a_service_dies_at_every_saga_ends(stage: Stage, name: Name) -> None:
    for seed in range(FIRST_ROUND, FIRST_ROUND + ROUNDS):
        async with Traffic(stage, seed) as traffic:
            await traffic.reaches(AT_WORK)
            await stage.kill(name)
            order = random.Random(f"{seed} {name}")
            for number, (job, point) in enumerate(order.sample(KILLS, len(KILLS)), 1):
                if job == "sweep":
                    await _sweep_and_die(stage, name, point)
                elif job == "clock":
                    await _fall_due_and_die(stage, name, point)
                else:
                    await live_and_die(stage.services[name], job, point, order.randint(1, TIMES_MAX[job]))
                if number % KILLS_TOGETHER == 0:
                    await stage.start(name)
                    await traffic.reaches(AT_WORK)
                    await stage.kill(name)
            await stage.start(name)
            await traffic.settled(f"{len(KILLS)} kills of {name}, one at each point of each job")
        kept = f"{len(KILLS)} kills of {name}, {traffic.sagas} sagas, 0 wrong"
        record("sagas that ended wrong after a kill -9 at each checkpoint of each job", kept, f"{seed}")


async def _fall_due_and_die(stage: Stage, name: Name, point: Checkpoint) -> None:
    """A life in which something falls due. Where all is answered at once nothing does; a life that is cut short leaves
    something open, which is overdue in the next one.
    """
    for _ in range(LIVES_MAX):
        process = start_doomed(stage.services[name], "clock", point, 1)
        if await asyncio.to_thread(process.wait_gone, SWEEP_S_MAX):
            was_killed(stage.services[name])
            return
        await stage.kill(name)
    raise AssertionError(f"the clock of {name} never came to {point!r}:\n{process.tail()}")


async def _sweep_and_die(stage: Stage, name: Name, point: Checkpoint) -> None:
    """One life that leaves something behind, and one in which the sweep finds it. Now and then the first one's own
    sweep is quicker, and leaves nothing; then both are lived again.
    """
    for _ in range(SWEEPS_MAX):
        await live_and_die(stage.services[name], "relay", "before delete")
        process = start_doomed(stage.services[name], "sweep", point, 1)
        if await asyncio.to_thread(process.wait_gone, SWEEP_S_MAX):
            was_killed(stage.services[name])
            return
        await stage.kill(name)
    raise AssertionError(f"the sweep of {name} never came to {point!r}:\n{process.tail()}")
