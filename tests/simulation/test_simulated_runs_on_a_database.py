"""Simulated runs of the real delivery on a real database: each is repeatable, alone, on its own clock, and judged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from messaging import inbox
from messaging.relay import Relay
from tests.simulation.on_a_database import run, small
from tests.simulation.plan import plan
from tests.simulation.slot import Slot

SEEDS_MAX = 60
_NOTE = "INSERT INTO inbox (message_id) VALUES (gen_random_uuid()) RETURNING clock_timestamp(), handled_at"


async def test_a_run_is_the_same_whatever_ran_before(slot: Slot) -> None:
    first = (await run(small(plan(1)), slot, traced=True)).trace
    other = (await run(small(plan(2)), slot, traced=True)).trace
    again = (await run(small(plan(1)), slot, traced=True)).trace
    assert first == again
    assert first != other


async def test_the_database_takes_the_simulated_time_for_the_time(slot: Slot) -> None:
    store = slot.stores["user_service"]
    for told in (datetime(2030, 1, 1, tzinfo=UTC), datetime(2026, 5, 4, 3, 2, 1, 999999, UTC)):
        store.clock.now = told
        async with store.engine.begin() as connection:
            rows = await connection.execute(text(_NOTE))
            assert rows.one() == (told, told)


async def test_nothing_is_left_in_an_outbox_or_half_begun_once_all_is_calm(slot: Slot) -> None:
    for seed in range(0, 20, 2):
        await run(small(plan(seed, "liveness")), slot)
        for store in slot.stores.values():
            assert await store.own.fetchval("SELECT count(*) FROM outbox") == 0, f"seed {seed}, {store.service}"


@pytest.mark.timeout(600)
async def test_an_inbox_that_knows_nothing_is_found(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    receive = inbox.receive

    async def broken(connection: Any, ids: Sequence[UUID], parked_too: bool) -> tuple[datetime, set[UUID]]:
        now, _ = await receive(connection, ids, parked_too)
        return now, set(ids)

    monkeypatch.setattr(inbox, "receive", broken)
    for seed in range(SEEDS_MAX):
        if (await run(small(plan(seed)), slot)).violations:
            return
    raise AssertionError(f"{SEEDS_MAX} seeds found nothing wrong")


@pytest.mark.timeout(600)
async def test_an_outbox_that_forgets_too_early_is_found(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that was not confirmed is deleted."""
    publish = Relay._publish

    async def broken(self: Any, messages: Sequence[Any]) -> tuple[list[UUID], list[Any]]:
        await publish(self, messages)
        return [each.id for each in messages], []

    monkeypatch.setattr(Relay, "_publish", broken)
    for seed in range(SEEDS_MAX):
        if (await run(small(plan(seed, "liveness", ["cut"])), slot)).violations:
            return
    raise AssertionError(f"{SEEDS_MAX} seeds found nothing wrong")
