"""Simulated runs of the real delivery on a real database: each is repeatable, alone, on its own clock, and judged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from holdfast.delivery import inbox, outbox
from holdfast.delivery.relay import Relay
from tests.simulation.on_a_database import run, small
from tests.simulation.plan import Fault, plan
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


async def _is_found(slot: Slot, check: str, *faults: Fault) -> bool:
    """Whether this check finds a broken rule of the real delivery within few seeds."""
    for seed in range(SEEDS_MAX):
        planned = plan(seed, "liveness", faults) if faults else plan(seed)
        if any(each.check == check for each in (await run(small(planned), slot)).violations):
            return True
    return False


@pytest.mark.timeout(600)
async def test_an_inbox_that_knows_nothing_is_found(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    receive = inbox.receive

    async def broken(connection: Any, ids: Sequence[UUID], parked_too: bool) -> tuple[datetime, set[UUID]]:
        now, _ = await receive(connection, ids, parked_too)
        return now, set(ids)

    monkeypatch.setattr(inbox, "receive", broken)
    assert await _is_found(slot, "exactly once")


@pytest.mark.timeout(600)
async def test_an_outbox_that_forgets_too_early_is_found(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that was not confirmed is deleted."""
    publish = Relay._publish

    async def broken(self: Any, messages: Sequence[Any]) -> tuple[list[UUID], list[Any]]:
        await publish(self, messages)
        return [each.id for each in messages], []

    monkeypatch.setattr(Relay, "_publish", broken)
    assert await _is_found(slot, "every saga ends", "cut")


@pytest.mark.timeout(600)
async def test_a_relay_that_never_sweeps_is_found(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a crash left in the outbox stays there."""

    async def broken(self: Any, *_: Any) -> None:
        return None

    monkeypatch.setattr(Relay, "_sweep_page", broken)
    assert await _is_found(slot, "every saga ends", "crash")


@pytest.mark.timeout(600)
async def test_an_outbox_that_is_only_in_memory_is_found(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is announced is handed to the relay, and never written down."""

    async def broken(*_: Any) -> None:
        return None

    monkeypatch.setattr(outbox, "keep", broken)
    assert await _is_found(slot, "every saga ends", "crash")
