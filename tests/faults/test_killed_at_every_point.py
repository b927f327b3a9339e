"""A service is killed before and after each step of delivery, again and again, and whoever starts it again is all the
help it gets.
"""

from __future__ import annotations

import ast
import asyncio
import os
import random
import signal
from typing import get_args

import pytest

from contracts.base import Service as Name
from contracts.topology import SERVICES
from local.processes import Process
from local.sources import PROJECT
from messaging.checkpoints import STEPS, Checkpoint, Job
from messaging.unit_of_work import ATTEMPTS_MAX
from tests.evidence import record
from tests.faults.process import start_doomed
from tests.faults.stage import Stage
from tests.faults.traffic import Traffic

KILLS = [(job, point) for job, points in STEPS.items() for point in points]
ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "1"))
FIRST_ROUND = int(os.environ.get("HOLDFAST_FIRST_ROUND", "1"))
TIMES_MAX: dict[Job, int] = {"consumer": 4, "relay": 4, "clock": 1}
"""Little falls due in a short life."""
KILL_S_MAX = 60.0
AT_WORK = 10
KILLS_TOGETHER = ATTEMPTS_MAX // 2
"""After so many, each of at most two lives, the service lives on for a while: it parks a message that it had in hand at
more than `ATTEMPTS_MAX` deaths in a row."""
SWEEPS_MAX, SWEEP_S_MAX = 4, 12.0
BETWEEN_POINTS = {
    ("consumer", "_acknowledge", "ack"),
    ("unit_of_work", "_transact", "begin"),
    ("relay", "_publish_one", "publish"),
    ("relay", "_forget", "forget"),
    ("relay", "_sweep_page", "begin"),
    ("relay", "_sweep_page", "forget"),
}
"""Where the points are: by module, function and call."""
WITHOUT_POINTS = {
    ("queries", "take", "ack"): "whoever asked and hears nothing asks again",
    ("unit_of_work", "count", "begin"): "counts one attempt more or less of a message that comes again either way",
    ("unit_of_work", "_begin_attempt", "begin"): "the same, around it",
    ("service", "_forget_some", "begin"): "deletes what is old, and looks again later",
}
"""Steps beside which a death changes nothing, and why."""


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
                else:
                    await _live_and_die(stage, name, job, point, order.randint(1, TIMES_MAX[job]))
                if number % KILLS_TOGETHER == 0:
                    await stage.start(name)
                    await traffic.reaches(AT_WORK)
                    await stage.kill(name)
            await stage.start(name)
            await traffic.settled(f"{len(KILLS)} kills of {name}, one at each point of each job")
        kept = f"{len(KILLS)} kills of {name}, {traffic.sagas} sagas, 0 wrong"
        record("sagas that ended wrong after a kill -9 at each checkpoint of each job", kept, f"{seed}")


def test_the_points_are_those_that_the_code_reaches() -> None:
    reached = {
        str(call.args[0].value)
        for path in (PROJECT / "messaging").glob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("_reached", "_hook")
        and isinstance(call.args[0], ast.Constant)
    }
    assert reached == set(get_args(Checkpoint)) == {point for _, point in KILLS}


def test_every_step_that_can_be_seen_from_outside_is_between_two_points() -> None:
    """A commit, publish, acknowledgement or delete that is new is either named here or has no point beside it."""
    steps = {
        (path.stem, function.name, call.func.attr)
        for path in (PROJECT / "messaging").glob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.AsyncFunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and ast.unparse(call.func).endswith((".begin", ".ack", "exchange.publish", "outbox.forget"))
    }
    assert steps == BETWEEN_POINTS | WITHOUT_POINTS.keys()


async def _live_and_die(stage: Stage, name: Name, job: Job, point: Checkpoint, times: int) -> None:
    """One life of the service, from its start to the point that is its last."""
    process = start_doomed(stage.services[name], job, point, times)
    died = await asyncio.to_thread(process.wait_gone, KILL_S_MAX)
    assert died, f"{job} of {name} never came to {point!r} {times} times:\n{process.tail()}"
    _was_killed(name, process)


async def _sweep_and_die(stage: Stage, name: Name, point: Checkpoint) -> None:
    """One life that leaves something behind, and one in which the sweep finds it. Now and then the first one's own
    sweep is quicker, and leaves nothing; then both are lived again.
    """
    for _ in range(SWEEPS_MAX):
        await _live_and_die(stage, name, "relay", "before delete", 1)
        process = start_doomed(stage.services[name], "sweep", point, 1)
        if await asyncio.to_thread(process.wait_gone, SWEEP_S_MAX):
            _was_killed(name, process)
            return
        await stage.kill(name)
    raise AssertionError(f"the sweep of {name} never came to {point!r}:\n{process.tail()}")


def _was_killed(name: Name, process: Process) -> None:
    assert process.stop() == -signal.SIGKILL, f"{name} ended by itself:\n{process.tail()}"
