"""Entities of each service as its keeper loads and saves them, without the service around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

import order_service.kinds
import order_service.tables
import promo_service.kinds
import promo_service.tables
import user_service.kinds
import user_service.tables
from holdfast.delivery.database import asyncpg_url
from holdfast.entities.entities import Entities, Keeper
from holdfast.entities.tables import EntityTables, Note, cause_of, state_of
from holdfast.pending import Entity, Operation, Refused
from local.site import Site

BEGAN = datetime(2030, 1, 1, tzinfo=UTC)

Act = Callable[[Entities], object]


@dataclass(frozen=True)
class Sample:
    """One service's entities. `sizes`: of its kinds, so that some are answered, some refused, and some wait."""

    service: str
    tables: EntityTables
    kinds: Mapping[str, type[Any]]
    sizes: Mapping[str, Sequence[int]]

    def keeper(self) -> Keeper:
        """One that remembers nothing yet."""
        return Keeper(self.tables, self.kinds)


USERS = Sample(
    "user_service",
    user_service.tables.accounts,
    user_service.kinds.KINDS,
    {"credit": (5, 9), "bonus": (3,), "reserve": (4, 8), "receive": (2, 2**53 - 1), "multiply": (2,)},
)
ORDERS = Sample(
    "order_service", order_service.tables.stock, order_service.kinds.KINDS, {"take": (1, 3), "restock": (2,)}
)
PROMOS = Sample("promo_service", promo_service.tables.uses, promo_service.kinds.KINDS, {"claim": (2,)})
SAMPLES = pytest.mark.parametrize("of", [USERS, ORDERS, PROMOS], ids=lambda each: each.service)


class Kept:
    """The entities of one service through this keeper, each time in a transaction of its own."""

    def __init__(self, engine: AsyncEngine, of: Sample, keeper: Keeper) -> None:
        self._engine, self._of, self._keeper = engine, of, keeper

    async def change(self, key: str, act: Act, *named: UUID, fails: bool = False) -> Entity[int]:
        """Load, act, and save. Returns the entity as it is in memory. `fails`: the transaction is rolled back."""
        async with self._engine.connect() as connection, connection.begin() as transaction:
            state = await self._keeper.load(connection, {(key, None), *((key, each) for each in named)})
            act(state)
            await self._keeper.save(connection, state)
            await self._try_ledger(connection, key)
            if fails:
                await transaction.rollback()
        return state.at[key]

    async def _try_ledger(self, connection: AsyncConnection, key: str) -> None:
        """The entity's lines are numbered without a gap, each begins where the one before ended, and the last is as the
        entity stands.
        """
        of, state = self._of, self._of.tables.state
        lines = text(f"SELECT seq, {state}_before, {state}_after FROM ledger WHERE {of.tables.key} = :key ORDER BY seq")
        kept = [tuple(row) for row in await connection.execute(lines, {"key": key})]
        row = text(f"SELECT lines, {state} FROM {of.tables.entities.name} WHERE {of.tables.key} = :key")
        found = (await connection.execute(row, {"key": key})).first()
        assert [number for number, _, _ in kept] == list(range(1, len(kept) + 1))
        ends = [0, *(after for _, _, after in kept)]
        assert [before for _, before, _ in kept] == ends[:-1]
        assert tuple(found or (0, 0)) == (len(kept), ends[-1])

    async def read(self, key: str, *named: UUID, lock: bool = True) -> Entity[int]:
        """The entity as it is loaded."""
        async with self._engine.begin() as connection:
            touched = {(key, None), *((key, each) for each in named)}
            return (await self._keeper.load(connection, touched, lock=lock)).at[key]


@asynccontextmanager
async def connected(site: Site, of: Sample) -> AsyncIterator[AsyncEngine]:
    """To the service's database, as the service itself."""
    engine = create_async_engine(asyncpg_url(site.database_url(of.service)))
    try:
        yield engine
    finally:
        await engine.dispose()


def told(operation: Operation[int]) -> tuple[Any, ...]:
    """All of an operation that anybody is ever told, or that decides what comes."""
    answer = None if isinstance(operation.answer, Refused) else operation.answer
    note = replace(cast(Note, operation.note), cause=cause_of(operation))
    times = (operation.join_by, operation.answer_by, operation.settle_by, operation.deadline)
    stands = (operation.place, operation.status, operation.accepted, operation.end, state_of(operation))
    return (operation.id, operation.kind, operation.after, *times, *stands, answer, operation.reason, note)


def same(one: Entity[int], other: Entity[int], ids: Sequence[UUID]) -> None:
    """Both entities are alike, in all that is pending, and as far as the first knows these operations."""
    assert (one.state, one.places, one.bounds) == (other.state, other.places, other.bounds)
    assert [told(each) for each in one] == [told(each) for each in other]
    for each in ids:
        known, loaded = one.find(each), other.find(each)
        assert (known and told(known)) == (loaded and told(loaded))
