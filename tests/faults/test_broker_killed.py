"""The broker is killed and started again: all that it ever confirmed is there, and every saga goes on by itself."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from tests.evidence import record
from tests.faults.stage import Stage
from tests.faults.stream import Stream
from tests.faults.traffic import Traffic

KILLS = int(os.environ.get("HOLDFAST_BROKER_KILLS", "5"))
CONFIRMED_EACH = 5000
SEED = int(os.environ.get("HOLDFAST_BROKER_SEED", "3"))


@pytest.mark.timeout(120 + 60 * KILLS)
async def test_no_confirmed_message_is_lost_and_every_saga_ends(stage: Stage) -> None:
    broker, away_s = stage.parts.broker, 0.0
    address = broker.address
    async with Traffic(stage, SEED) as traffic:
        async with Stream(stage) as stream:
            for _ in range(KILLS):
                await asyncio.gather(stream.reaches(CONFIRMED_EACH), traffic.reaches(5))
                await asyncio.to_thread(broker.kill)
                began = time.monotonic()
                await asyncio.to_thread(broker.start)
                assert broker.address == address
                away_s = max(away_s, time.monotonic() - began)
            lost = await stream.lost()
        await traffic.settled(f"{KILLS} kills of the broker, away for at most {away_s:.1f} s")
    figure = "confirmed messages, none consumed before the last SIGKILL of the broker: lost"
    record(figure, f"{len(lost)} of {len(stream.confirmed)}, {KILLS} kills", f"{SEED}")
    assert not lost
