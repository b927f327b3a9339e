"""A service stands still for longer than its sagas may last, and then goes on where it stopped."""

from __future__ import annotations

import signal
from datetime import datetime

import pytest

from contracts.base import Service as Name
from contracts.topology import SERVICES
from tests.faults.stage import Stage
from tests.faults.traffic import DEADLINE_S_MAX, Traffic
from tests.service.sites import until, value

KEPT = (("user_service", "operations"), ("order_service", "orders"))
LAST = "SELECT max(deadline) FROM {}"
"""Of what is open: what is settled has no deadline any more."""
PASSED = "SELECT count(*) FROM {} WHERE reason IN ('deadline_passed', 'wait_deadline_passed')"
SEED = 5


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_that_stood_still_past_every_deadline_catches_up(stage: Stage, name: Name) -> None:
    async with Traffic(stage, SEED) as traffic:
        await traffic.reaches(20)
        await until(lambda: _last_deadline(stage), "something with a deadline is open")
        before = await _passed(stage)
        stage.signal(name, signal.SIGSTOP)
        try:
            await _all_deadlines_pass(stage)
        finally:
            stage.signal(name, signal.SIGCONT)
        await traffic.settled(f"{name} stood still past every deadline")
        assert await _passed(stage) > before


async def _all_deadlines_pass(stage: Stage) -> None:
    """Until what was open at the beginning of this has outlived its deadlines."""
    last = await _last_deadline(stage)
    assert last is not None, "nothing was open"

    async def passed() -> bool:
        return bool(last < await value(stage.site, "user_service", "SELECT clock_timestamp()"))

    await until(passed, "all deadlines have passed", 2 * DEADLINE_S_MAX)


async def _last_deadline(stage: Stage) -> datetime | None:
    """By when all that is open will have ended."""
    found = [await value(stage.site, service, LAST.format(table)) for service, table in KEPT]
    return max((each for each in found if each is not None), default=None)


async def _passed(stage: Stage) -> int:
    """How many operations and orders ended because their deadline passed."""
    counts: list[int] = [await value(stage.site, service, PASSED.format(table)) for service, table in KEPT]
    return sum(counts)
