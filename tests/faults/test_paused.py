"""A service stands still for longer than its sagas may last, and then goes on where it stopped."""

from __future__ import annotations

import signal
from datetime import datetime

import pytest

from contracts.topology import SERVICES
from holdfast.delivery.words import Service as Name
from tests.faults.stage import Stage
from tests.faults.traffic import DEADLINE_S_MAX, Traffic
from tests.service.sites import until, value

KEPT = (("user_service", "operations"), ("order_service", "orders"), ("gift_service", "gifts"))
LAST = (
    ("user_service", "SELECT max(deadline) FROM operations WHERE kind <> 'receive'"),
    ("order_service", "SELECT max(deadline) FROM orders"),
    ("gift_service", "SELECT max(deadline) FROM gifts"),
    ("promo_service", "SELECT max(wait_until) FROM redemptions WHERE state = 'claimed'"),
)
"""Of what is open: what is settled has no deadline any more. The room for a gift is kept for longer than any of these,
and given up when the gift has failed.
"""
OVERDUE = "SELECT count(*) FROM redemptions WHERE state = 'claimed' AND wait_until < clock_timestamp()"
"""Redemptions whose time to wait is over, and whose answer has not come in."""
OPEN = {
    "promo_service": (
        "user_service",
        "SELECT count(*) FROM operations WHERE state IN ('waiting', 'accepted') AND kind = 'multiply'",
    ),
    "gift_service": ("gift_service", "SELECT count(*) FROM gifts WHERE deadline IS NOT NULL"),
}
"""Where to count the redemptions whose answer is yet to come, and the gifts that can still fail."""
PASSED = "SELECT count(*) FROM {} WHERE reason IN ('deadline_passed', 'wait_deadline_passed')"
SEED = 5


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_that_stood_still_past_every_deadline_catches_up(stage: Stage, name: Name) -> None:
    async with Traffic(stage, SEED) as traffic:
        await traffic.reaches(20)
        before = await _passed(stage)
        last = await until(lambda: _stop(stage, name), "it is stopped while something is open")
        try:
            await until(lambda: _is_over(stage, last), "all deadlines have passed", 2 * DEADLINE_S_MAX)
            overdue = await value(stage.site, "promo_service", OVERDUE)
        finally:
            stage.signal(name, signal.SIGCONT)
        await traffic.settled(f"{name} stood still past every deadline")
        mattered = overdue if name == "promo_service" else await _passed(stage) - before
        assert mattered > 0


async def _stop(stage: Stage, name: Name) -> datetime | None:
    """Stop the service; returns by when all that is open then will have ended. If nothing is, it goes on.

    Some stop only while something of theirs is open; see `OPEN`.
    """
    stage.signal(name, signal.SIGSTOP)
    is_open = name not in OPEN or await value(stage.site, *OPEN[name])
    last = await _last_deadline(stage) if is_open else None
    if last is None:
        stage.signal(name, signal.SIGCONT)
    return last


async def _is_over(stage: Stage, last: datetime) -> bool:
    return bool(last < await value(stage.site, "user_service", "SELECT clock_timestamp()"))


async def _last_deadline(stage: Stage) -> datetime | None:
    """By when all that is open will have ended."""
    found = [await value(stage.site, service, query) for service, query in LAST]
    return max((each for each in found if each is not None), default=None)


async def _passed(stage: Stage) -> int:
    """How many operations and orders ended because their deadline passed."""
    counts: list[int] = [await value(stage.site, service, PASSED.format(table)) for service, table in KEPT]
    return sum(counts)
