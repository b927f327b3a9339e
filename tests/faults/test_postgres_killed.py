"""The databases are killed and started again: what was announced before is still so, and every saga goes on."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial

import pytest

from client.audit import read
from tests.evidence import record
from tests.faults.announced import Effect, announced, lost
from tests.faults.stage import Stage
from tests.faults.traffic import Traffic
from tests.service.sites import until

KILLS = int(os.environ.get("HOLDFAST_POSTGRES_KILLS", "10"))
ENDED_EACH = 15
SEED = int(os.environ.get("HOLDFAST_POSTGRES_SEED", "4"))


def _grown(heard: set[Effect], before: int) -> bool:
    return len(heard) > before


@pytest.mark.timeout(120 + 40 * KILLS)
async def test_no_announced_effect_is_lost_and_every_saga_ends(stage: Stage) -> None:
    postgres, away_s = stage.parts.postgres, 0.0
    async with Traffic(stage, SEED) as traffic, announced(traffic.operator) as heard:
        for _ in range(KILLS):
            before = len(heard)
            await traffic.reaches(ENDED_EACH)
            await until(partial(_grown, heard, before), "something is announced")
            await asyncio.to_thread(postgres.kill)
            began = time.monotonic()
            await asyncio.to_thread(postgres.start)
            away_s = max(away_s, time.monotonic() - began)
            gone = lost(set(heard), await read(stage.env["HOLDFAST_AUDIT_DATABASE_URL"]))
            assert not gone, f"announced, and gone after a kill: {gone[:10]}"
        await traffic.settled(f"{KILLS} kills of PostgreSQL, away for at most {away_s:.1f} s")
        gone = lost(set(heard), await read(stage.env["HOLDFAST_AUDIT_DATABASE_URL"]))
    record(
        "announced effects lost by a SIGKILL of PostgreSQL", f"{len(gone)} of {len(heard)}, {KILLS} kills", f"{SEED}"
    )
    assert not gone
