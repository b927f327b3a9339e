"""On a database, the audit finds nothing in what the services' own rule and keeper write, at any moment, and what is
planted there. It may read all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

import order_service.kinds
import order_service.tables
import promo_service.kinds
import promo_service.tables
import user_service.kinds
import user_service.tables
from client.audit import findings_at_one_moment, read
from client.audit_rows import Books
from holdfast.delivery.database import asyncpg_url
from holdfast.entities.entities import Entities, Keeper
from holdfast.entities.tables import Note
from holdfast.pending import Operation
from local.parts import Parts
from local.site import Site
from tests.service.sites import fresh, rows

KEPT: dict[str, tuple[Any, Any]] = {
    "user_service": (user_service.tables.accounts, user_service.kinds.KINDS),
    "order_service": (order_service.tables.stock, order_service.kinds.KINDS),
    "promo_service": (promo_service.tables.uses, promo_service.kinds.KINDS),
}
HISTORIES, STEPS = 40, 30
RESERVATIONS = {"reserve", "receive", "take", "claim"}


@pytest.fixture(scope="module")
def site(parts: Parts) -> Iterator[Site]:
    made = fresh(parts, "audit")
    yield made
    made.drop()


@asynccontextmanager
async def database(site: Site, service: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(asyncpg_url(site.database_url(service)), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


async def audited(site: Site) -> Books:
    return await read(site.client_env()["HOLDFAST_AUDIT_DATABASE_URL"])


@dataclass
class History:
    """Random operations on one entity, of all kinds that its service has, from an hour ago till now."""

    service: str
    key: str
    random: Random
    now: datetime
    ids: list[UUID] = field(default_factory=list)

    def step(self, state: Entities) -> None:
        """Whatever may happen next."""
        self.now += timedelta(seconds=self.random.choice((0, 1, 5, 60)))
        state.pass_time(self.key, self.now)
        what, known = self.random.random(), self.random.choice(self.ids or [UUID(int=7)])
        if what < 0.6 or not self.ids:
            self.arrive(state)
        elif what < 0.75:
            state.settle(self.key, known, self.now, "test.settled")
        elif what < 0.85:
            state.release(self.key, known, self.now, "cancelled", "test.released")
        elif what < 0.95:
            state.withdraw(self.key, known, self.now, "cancelled", "test.withdrawn")
        else:
            state.withdraw(self.key, self.fresh_id(), self.now, "cancelled", "test.withdrawn")

    def fresh_id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128))

    def arrive(self, state: Entities) -> None:
        """A new operation, which may name earlier ones and one that never comes."""
        _, kinds = KEPT[self.service]
        name = self.random.choice(list(kinds))
        is_reservation = name in RESERVATIONS
        until = self.now + timedelta(seconds=self.random.choice((10, 100, 7200)))
        is_revocable = is_reservation or (name == "multiply" and self.random.random() < 0.5)
        named = self.random.sample((*self.ids, UUID(int=7)), k=1) if self.random.random() < 0.15 else []
        operation: Operation[int] = Operation(
            operation_id := self.fresh_id(),
            kinds[name](self.random.randint(2, 6)),
            frozenset(named),
            until if named else None,
            until if is_revocable else None,
            until if is_reservation and self.service == "user_service" else None,
            note=Note("test", "test.asked"),
        )
        if self.random.random() < 0.05:
            state.refuse(self.key, operation, self.now, "pending_limit")
        else:
            state.arrive(self.key, operation, self.now)
            known = state.at[self.key].find(operation_id)
            scarce = {"take": "out_of_stock", "claim": "used_up"}.get(name)
            if scarce and known and known.status == "waiting" and self.random.random() < 0.3:
                state.withdraw(self.key, operation_id, self.now, scarce, "test.scarce")
        self.ids.append(operation_id)


async def write(site: Site, service: str, seed: int) -> None:
    """Random histories of some entities, several steps a batch."""
    keeper, begun = Keeper(*KEPT[service]), Random(seed)
    async with database(site, service) as connection:
        now: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    made = [
        History(service, f"{seed}-{number}", Random(begun.random()), now - timedelta(hours=1))
        for number in range(HISTORIES)
    ]
    for batch in range(STEPS // 3):
        async with database(site, service) as connection:
            touched = {(each.key, known) for each in made for known in (None, *each.ids)}
            state = await keeper.load(connection, touched)
            for each in made:
                state.open(each.key)
                for _ in range(3):
                    each.step(state)
                if batch == STEPS // 3 - 1:
                    state.pass_time(each.key, now)
            await keeper.save(connection, state)


async def test_nothing_is_found_in_what_the_rule_and_the_keeper_wrote(site: Site) -> None:
    await asyncio.gather(*(write(site, service, seed=1) for service in KEPT))
    books = await audited(site)
    for kept in (books.accounts, books.stock, books.uses):
        assert len(kept.entities) >= HISTORIES
        seen = {operation.state for operation in kept.operations}
        assert seen >= {"outside", "waiting", "reserved", "captured", "released", "refused"}, kept.of
        assert kept.ledger
    assert "accepted" in {operation.state for operation in books.accounts.operations}
    assert [str(finding) for finding in findings_at_one_moment(books)] == []


FAULTS = (
    ("user_service", "UPDATE accounts SET balance = balance + {}", "every account: sum of coins"),
    ("order_service", "UPDATE stock SET pieces = pieces + {}", "every item: sum of pieces"),
    ("promo_service", "UPDATE uses SET count = count + {}", "every code: sum of uses"),
    ("user_service", "UPDATE operations SET answer = answer + {} WHERE state = 'reserved'", "account "),
    ("order_service", "UPDATE operations SET size = size + {} WHERE state = 'reserved'", "item "),
    ("promo_service", "UPDATE operations SET place = place + {} WHERE state = 'captured'", "code "),
)


async def test_a_fault_that_is_planted_in_a_database_is_found(site: Site) -> None:
    await asyncio.gather(*(write(site, service, seed=2) for service in KEPT))
    for service, fault, named in FAULTS:
        await rows(site, service, fault.format(100))
        found = [str(finding) for finding in findings_at_one_moment(await audited(site))]
        assert any(each.startswith(named) for each in found), (fault, found)
        await rows(site, service, fault.format(-100))
    assert not list(findings_at_one_moment(await audited(site)))
