"""Three databases in which one simulated run after the other is done, on a simulated clock.

`clock_timestamp()` is a function of the databases' own, found before PostgreSQL's; each transaction begins by saying
what it answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias
from unittest.mock import patch
from uuid import UUID

import asyncpg
import stamina
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

import order_service.tables
import promo_service.tables
import user_service.tables
from holdfast.delivery.database import asyncpg_url
from holdfast.delivery.metrics import Metrics
from holdfast.delivery.migrations import migrate
from holdfast.delivery.tracing import Tracer
from holdfast.delivery.words import Service
from holdfast.entities.tables import EntityTables
from local.sources import PROJECT
from provision.databases import at
from tests.simulation.rows import ORDERS, REDEMPTIONS, Entities, OrderRow, RedemptionRow, statements
from tests.simulation.world import SERVICES

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

NEXT_DUE: dict[Service, str] = {
    "user_service": "SELECT min(deadline) FROM operations",
    "order_service": "SELECT least(min(deadline), min(ask_again_at)) FROM orders",
    "promo_service": "SELECT least((SELECT min(ask_again_at) FROM redemptions),"
    " (SELECT min(deadline) FROM operations))",
}
TABLES: dict[Service, EntityTables] = {
    "user_service": user_service.tables.accounts,
    "order_service": order_service.tables.stock,
    "promo_service": promo_service.tables.uses,
}
RUNS_UNTIL_VACUUM = 200
KEPT_FROM = 1
"""So few pending operations are enough for an entity to stay in memory between batches, where a run has few."""


@dataclass
class Clock:
    """What the service's database takes for the time."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)


class Ids:
    """Ids for messages, the same in each run, and in the order in which they are asked for."""

    def __init__(self) -> None:
        self.last = 0

    def __call__(self) -> UUID:
        self.last += 1
        return UUID(int=self.last)


@dataclass
class Store:
    """One service's database. `engine`: what the service works with. `own`: a connection of the simulation's, which
    `emptying` empties it by.
    """

    service: Service
    clock: Clock
    engine: AsyncEngine
    own: Connection
    metrics: Metrics = field(default_factory=Metrics)
    tracer: Tracer = field(default_factory=lambda: Tracer(None, ""))
    emptying: str = ""

    async def next_due(self) -> datetime | None:
        """When work falls due next."""
        found: datetime | None = await self.own.fetchval(NEXT_DUE[self.service])
        return found

    async def has_outgoing(self) -> bool:
        """Whether anything is in the outbox."""
        found: bool = await self.own.fetchval("SELECT EXISTS (SELECT FROM outbox)")
        return found

    async def empty(self) -> None:
        """Delete all rows."""
        await self.own.execute(self.emptying)


class Slot:
    """The three databases, opened. One run at a time."""

    def __init__(self, stores: dict[Service, Store]) -> None:
        self.stores = stores
        self._ids = Ids()
        self._runs = 0

    async def begin(self) -> None:
        """Be as if nothing had ever happened."""
        self._runs += 1
        self._ids.last = 0
        for store in self.stores.values():
            await store.empty()
            if self._runs % RUNS_UNTIL_VACUUM == 0:
                await store.own.execute("VACUUM")

    async def entities(self) -> dict[Service, Entities]:
        """Each service's entities."""
        found: dict[Service, Entities] = {}
        for service, tables in TABLES.items():
            own = self.stores[service].own
            found[service] = Entities(*[await _rows(own, row, query) for row, query in statements(tables)])
        return found

    async def orders(self) -> tuple[OrderRow, ...]:
        """All orders."""
        return await _rows(self.stores["order_service"].own, OrderRow, ORDERS)

    async def redemptions(self) -> tuple[RedemptionRow, ...]:
        """All redemptions."""
        return await _rows(self.stores["promo_service"].own, RedemptionRow, REDEMPTIONS)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a slot is: `admin_url` of the cluster, and what the names of the databases begin with."""

    admin_url: str
    prefix: str

    def url(self, service: Service) -> str:
        """The service's database, as the administrator, who may empty a ledger."""
        return at(self.admin_url, self.prefix + service)


async def make(place: Place, like: Place | None = None) -> None:
    """Create the databases of a slot, the first one by the services' own migrations, others `like` the first."""
    connection = await asyncpg.connect(place.admin_url)
    try:
        for service in SERVICES:
            name = place.prefix + service
            template = like.prefix + service if like else "template0"
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
            for setting in ("search_path = public, pg_catalog", "sim.now = '2026-01-01T00:00:00Z'"):
                await connection.execute(f'ALTER DATABASE "{name}" SET {setting}')
            await connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    finally:
        await connection.close()
    if like is None:
        for service in SERVICES:
            await _migrate(service, place.url(service))


async def drop(place: Place) -> None:
    """Delete the databases of a slot."""
    connection = await asyncpg.connect(place.admin_url)
    try:
        for service in SERVICES:
            await connection.execute(f'DROP DATABASE IF EXISTS "{place.prefix}{service}" WITH (FORCE)')
    finally:
        await connection.close()


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Slot]:
    """The slot, with connections that stay. Meanwhile nothing in this process waits to try again, and nothing logs."""
    async with AsyncExitStack() as stack:
        stores = {service: await _open(stack, service, place.url(service)) for service in SERVICES}
        slot = Slot(stores)
        stack.enter_context(patch("holdfast.entities.entities.KEPT_FROM", KEPT_FROM))
        stack.enter_context(patch("holdfast.delivery.outbox.uuid4", slot._ids))
        stack.enter_context(patch("holdfast.delivery.message.uuid4", slot._ids))
        stack.enter_context(stamina.set_testing(True, attempts=1000))
        stack.enter_context(_silence())
        yield slot


async def _open(stack: AsyncExitStack, service: Service, url: str) -> Store:
    clock = Clock()
    engine = create_async_engine(
        asyncpg_url(url),
        poolclass=StaticPool,
        connect_args={"connection_class": _on_the_clock(clock), "server_settings": {"jit": "off"}},
    )
    stack.push_async_callback(engine.dispose)
    own: Connection = await asyncpg.connect(url)
    stack.push_async_callback(own.close)
    tables = [
        row["tablename"] for row in await own.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    ]
    await own.execute("SET session_replication_role = replica")
    empty = "; ".join(f'DELETE FROM "{table}"' for table in tables if table != "alembic_version")
    return Store(service, clock, engine, own, emptying=empty)


def _on_the_clock(clock: Clock) -> type[Connection]:
    class Simulated(asyncpg.Connection):
        async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109
            if query.startswith("BEGIN"):
                query = f"SET sim.now = '{clock.now.isoformat()}'; {query}"
            return await super().execute(query, *args, timeout=timeout)

    return Simulated


async def _migrate(service: Service, url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE"
        " AS $$ SELECT current_setting('sim.now')::timestamptz $$"
    )
    await asyncio.to_thread(migrate, PROJECT / service, url)
    for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        await connection.execute(f'ALTER TABLE "{row["tablename"]}" SET UNLOGGED')
    await connection.close()


async def _rows(connection: Connection, row: Any, query: str) -> tuple[Any, ...]:
    return tuple([row(*map(_value, each)) for each in await connection.fetch(query)])


def _value(value: Any) -> Any:
    """As the services' own have it."""
    return (
        tuple(map(_value, value))
        if isinstance(value, list)
        else UUID(int=value.int)
        if isinstance(value, UUID)
        else value
    )


@contextmanager
def _silence() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
