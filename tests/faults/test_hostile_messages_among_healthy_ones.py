"""Hostile messages of every kind among healthy traffic: no service dies or stands still, and each is accounted for."""

from __future__ import annotations

import os

import pytest

from tests.evidence import record
from tests.faults.stage import Stage
from tests.faults.traffic import Traffic
from tests.faults.villain import clear
from tests.hostile import hostile
from tests.hostile.sending import send, unaccounted
from tests.service.sites import until

COUNT = int(os.environ.get("HOLDFAST_HOSTILE_MESSAGES", "2000"))
FIRST = int(os.environ.get("HOLDFAST_HOSTILE_FIRST", "1000000"))
"""The first seed, so that a long run can be done in pieces."""
TOGETHER = 500


@pytest.mark.timeout(180 + COUNT // 10)
async def test_nobody_dies_nobody_waits_and_nothing_is_lost(stage: Stage) -> None:
    pids = [service.process.pid for service in stage.services.values()]
    letters = 0
    async with Traffic(stage, seed=1, shoppers=4) as traffic:
        await traffic.reaches(10)
        for first in range(FIRST, FIRST + COUNT, TOGETHER):
            messages = [hostile(seed) for seed in range(first, min(first + TOGETHER, FIRST + COUNT))]
            await send(stage.site, messages)
            await traffic.reaches(traffic.shoppers)
            await traffic.fence()
            assert await unaccounted(stage.site, messages) == []
            wanted = set().union(*(each.letters() for each in messages))

            async def taken(wanted: set[bytes] = wanted) -> bool:
                nonlocal letters
                bodies, healthy = await clear(stage.site, traffic.mentioned_in)
                letters += len(bodies)
                assert healthy == []
                wanted -= set(bodies)
                return not wanted

            await until(taken, "each that cannot be handled is in a dead-letter queue")
        assert [service.process.pid for service in stage.services.values()] == pids
        await traffic.settled(f"{COUNT} hostile messages, {letters} of them in dead-letter queues")
    seeds = f"{FIRST}-{FIRST + COUNT - 1}"
    record("hostile messages among healthy traffic: crashes, stalls, lost", f"0, 0, 0 of {COUNT}", seeds)
