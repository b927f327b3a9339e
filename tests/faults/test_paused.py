"""A service stands still for longer than its sagas may last, and then goes on where it stopped."""

from __future__ import annotations

import signal

import pytest

from contracts.base import Service as Name
from contracts.topology import SERVICES
from tests.faults.stage import Stage
from tests.faults.traffic import DEADLINE_S_MAX, Traffic
from tests.service.sites import until, value

KEPT = (("user_service", "operations"), ("order_service", "orders"))
LAST = "SELECT max(deadline) FROM {}"
SEED = 5


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_that_stood_still_past_every_deadline_catches_up(stage: Stage, name: Name) -> None:
    async with Traffic(stage, SEED) as traffic:
        await traffic.reaches(20)
        stage.signal(name, signal.SIGSTOP)
        try:
            await _all_deadlines_pass(stage)
        finally:
            stage.signal(name, signal.SIGCONT)
        await traffic.settled(f"{name} stood still past every deadline")


async def _all_deadlines_pass(stage: Stage) -> None:
    """Until what was open at the beginning of this has outlived its deadlines."""
    last = [await value(stage.site, service, LAST.format(table)) for service, table in KEPT]

    async def passed() -> bool:
        now = await value(stage.site, "user_service", "SELECT clock_timestamp()")
        return all(each is None or each < now for each in last)

    await until(passed, "all deadlines have passed", 2 * DEADLINE_S_MAX)
