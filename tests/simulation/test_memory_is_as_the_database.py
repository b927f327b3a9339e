"""The model of delivery in memory does what the real inbox, outbox, relay and handlers do on PostgreSQL: the same seed
gives the same run, line by line.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.delivery.checkpoints import STEPS
from holdfast.entities.entities import Entities, Keeper
from tests.simulation.memory import MemoryNode
from tests.simulation.on_a_database import compared, small
from tests.simulation.outbox import Outbox
from tests.simulation.plan import plan
from tests.simulation.slot import Slot

Touched = Collection[tuple[str, UUID | None]]
SEEDS = 60
VIOLENT_SEEDS = 15


@pytest.mark.timeout(600)
async def test_the_same_seed_gives_the_same_run(slot: Slot) -> None:
    faults: set[str] = set()
    for seed in range(SEEDS):
        done = await compared(small(plan(seed)), slot)
        assert not done.violations, f"seed {seed}: {done.violations}"
        faults |= done.history.faults.keys()
    assert faults >= {"crash", "cut", "double", "delay", "replay", "resend", "purge"}


@pytest.mark.timeout(600)
async def test_where_services_die_before_most_commits(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that messages are begun often enough to be handled by themselves.

    Runs that park one are not compared: dead letters do not pass through the simulated broker.
    """
    monkeypatch.setattr("tests.simulation.world.CRASH", 0.5)
    monkeypatch.setattr("tests.simulation.world.STEPS", {**STEPS, "consumer": ("before commit",)})
    alone = 0
    begin = MemoryNode._begin

    def counted(self: MemoryNode, keys: set[object]) -> None:
        nonlocal alone
        begin(self, keys)  # type: ignore[arg-type]
        alone += sum(self._attempts[each] > 3 for each in keys)  # type: ignore[index]

    monkeypatch.setattr(MemoryNode, "_begin", counted)
    agreed = 0
    for seed in range(VIOLENT_SEEDS):
        found = (await compared(small(plan(seed, "liveness", ["crash", "double"])), slot)).violations
        if not any(each.check == "no healthy dead letter" for each in found):
            assert not found, f"seed {seed}: {found}"
            agreed += 1
    assert alone
    assert agreed


@pytest.mark.timeout(600)
async def test_where_most_confirms_are_lost(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the relay gives up, and its sweeps publish what it left."""
    monkeypatch.setattr("tests.simulation.world.CUT", 0.7)
    swept = 0
    sweep = Outbox._sweep

    def counted(self: Outbox, *arguments: object) -> None:
        nonlocal swept
        swept += 1
        sweep(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Outbox, "_sweep", counted)
    for seed in range(VIOLENT_SEEDS):
        done = await compared(small(plan(seed, "liveness", ["cut", "crash"])), slot)
        assert not done.violations, f"seed {seed}: {done.violations}"
    assert swept


@pytest.mark.timeout(600)
async def test_where_a_guest_meddles_and_is_parked(slot: Slot) -> None:
    """Dead letters go through the outbox, and what was parked is tried again where it comes once more."""
    parked = 0
    for seed in range(VIOLENT_SEEDS):
        planned = small(plan(seed, None, ["crash", "double", "replay", "cut"]))
        sagas = [replace(each, meddled_with="confirms" if each.kind == "buy" else None) for each in planned.sagas]
        done = await compared(replace(planned, sagas=tuple(sagas)), slot)
        assert not done.violations, f"seed {seed}: {done.violations}"
        parked += len(done.left.parked) if done.left else 0
    assert parked


@pytest.mark.timeout(600)
async def test_a_model_that_forgets_its_inbox_is_told_from_the_real_one(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryNode, "_is_known", lambda self, key: False)
    for seed in range(SEEDS):
        done = await compared(small(plan(seed, None, ["double", "crash"])), slot)
        if any(each.check == "memory is as the database" for each in done.violations):
            return
    raise AssertionError(f"{SEEDS} seeds found no difference")


@pytest.mark.timeout(600)
async def test_entities_stay_in_memory_between_batches(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    stayed = 0
    load = Keeper.load

    async def counted(self: Keeper, connection: AsyncConnection, touched: Touched, lock: bool = True) -> Entities:
        nonlocal stayed
        kept = [entity for _, entity in self._kept.values()]
        loaded = await load(self, connection, touched, lock)
        stayed += sum(entity is each for entity in loaded.at.values() for each in kept)
        return loaded

    monkeypatch.setattr(Keeper, "load", counted)
    for seed in range(VIOLENT_SEEDS):
        done = await compared(small(plan(seed)), slot)
        assert not done.violations, f"seed {seed}: {done.violations}"
    assert stayed


@pytest.mark.timeout(600)
async def test_an_entity_of_a_transaction_that_never_was_is_found(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every stamp is the same, what a died process had in mind counts."""
    monkeypatch.setattr("holdfast.entities.entities.secrets.randbits", lambda _: 7)
    monkeypatch.setattr("tests.simulation.world.CRASH", 0.5)
    for seed in range(SEEDS):
        if (await compared(small(plan(seed, None, ["crash", "double"])), slot)).violations:
            return
    raise AssertionError(f"{SEEDS} seeds found no difference")
