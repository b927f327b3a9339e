"""The whole system, as its users have it: the broker, a client's and an operator's user, and the audit.

Natively it is started on parts of the test run; with HOLDFAST_STACK=compose it runs already, and the environment says
where.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID, uuid4

import pytest

from client.audit import Report, audit
from client.client import Client
from client.tap import Seen, tap
from client.waiting import until
from contracts.base import Scarce
from contracts.queries import AccountView, Fulfilment, ItemView, OrderView
from contracts.roles import Multiply, PromoEffect
from holdfast.delivery.words import Fact
from holdfast.entities.words import PendingView
from local.service import Service
from local.stack import Stack

EVENT_S_MAX = 20.0

FactT = TypeVar("FactT", bound=Fact)

URLS = ("HOLDFAST_AMQP_URL", "HOLDFAST_OPERATOR_AMQP_URL", "HOLDFAST_AUDIT_DATABASE_URL")


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack | None]:
    """The system that was started for these tests; None if it runs in containers already."""
    if os.environ.get("HOLDFAST_STACK") == "compose":
        yield None
        return
    started = Stack(request.getfixturevalue("parts"), "choreography")
    started.start()
    try:
        yield started
    finally:
        started.stop()
        started.site.drop()


@pytest.fixture(scope="session")
def environment(stack: Stack | None) -> dict[str, str]:
    """Where the system is."""
    return stack.site.client_env() if stack else {name: os.environ[name] for name in URLS}


@pytest.fixture
def services(stack: Stack | None) -> Iterator[dict[str, Service]]:
    """The services, to be stopped and started; all run again afterwards."""
    if stack is None:
        pytest.skip("services in containers are not stopped from here")
    found = {service.name: service for service in stack.services}
    yield found
    for service in found.values():
        if not service.process.pid:
            service.start(wait=False)
    for service in found.values():
        service.wait_healthy()


@dataclass
class World:
    """What a test needs: who sends, who answers for the goods, and names nobody else uses."""

    client: Client
    operator: Client
    audit_url: str

    async def account(self, coins: int) -> str:
        """A new account with this many coins."""
        name = f"a-{uuid4().hex[:12]}"
        await self.client.outcome(await self.client.open_account(name))
        if coins:
            sent = await self.client.credit(name, coins)
            assert (await self.client.wait_for_operation(name, sent.id)).state == "credited"
        return name

    async def goods(self, price: int, stock: int | None = None, scarce: Scarce = "wait", external: bool = False) -> str:
        """A new item: with stock it is fulfilled instantly unless `external`, without externally."""
        name = f"i-{uuid4().hex[:12]}"
        fulfilment: Fulfilment = "external" if external or stock is None else "instant"
        sent = await self.operator.put_item(name, price, stock, fulfilment, scarce=scarce)
        await self.operator.outcome(sent)
        return name

    async def code(
        self, effect: PromoEffect | None = None, uses_max: int | None = None, scarce: Scarce = "wait"
    ) -> str:
        """A new promo code, which doubles unless told otherwise."""
        name = f"c-{uuid4().hex[:12]}"
        effect = effect or Multiply(factor=2)
        await self.operator.outcome(await self.operator.put_promo(name, effect, uses_max=uses_max, scarce=scarce))
        return name

    async def show(self, account: str) -> AccountView:
        """The account now."""
        view = await self.client.ask.account(account)
        assert view is not None
        return view

    async def coins(self, account: str) -> int:
        """The account's coins, once nothing is pending."""
        view = await until(lambda: self.show(account), lambda seen: not seen.pending, 20, f"account {account}")
        assert (view.available, view.possible) == (view.balance, view.balance)
        return view.balance

    async def standing(self, account: str, operation_id: UUID, state: str) -> PendingView:
        """The operation, once it stands in this state in the account's log."""

        async def look() -> PendingView | None:
            view = await self.show(account)
            return next((each for each in view.pending if each.operation_id == operation_id), None)

        return await until(look, lambda seen: seen.state == state, 20, f"operation {operation_id} {state}")

    async def order(self, order_id: UUID, state: str) -> OrderView:
        """The order, once it is in this state."""
        return await until(
            lambda: self.client.ask.order(order_id), lambda seen: seen.state == state, 20, f"order {order_id} {state}"
        )

    async def of_item(self, item: str) -> ItemView:
        """The item now."""
        view = await self.client.ask.item(item)
        assert view is not None
        return view

    async def report(self) -> Report:
        """What the audit says."""
        return await audit(self.audit_url)


@pytest.fixture
async def world(environment: dict[str, str]) -> AsyncIterator[World]:
    """The system, through a client and an operator of this test's own."""
    async with (
        Client(environment["HOLDFAST_AMQP_URL"], name="test client") as client,
        Client(environment["HOLDFAST_OPERATOR_AMQP_URL"], name="test operator") as operator,
    ):
        yield World(client, operator, environment["HOLDFAST_AUDIT_DATABASE_URL"])


class News:
    """What the services announce while a test runs."""

    def __init__(self, passing: asyncio.Queue[Seen | None]) -> None:
        self._passing = passing
        self._seen: list[Fact] = []

    def heard(self, kind: type[Fact], saga: UUID) -> bool:
        """Whether this event of this saga is among what has gone by."""
        while not self._passing.empty():
            if seen := self._passing.get_nowait():
                self._seen.append(seen.fact)
        return any(isinstance(fact, kind) and fact.saga == str(saga) for fact in self._seen)

    async def of(self, kind: type[FactT], saga: UUID) -> FactT:
        """This event of this saga, once it has been announced."""
        async with asyncio.timeout(EVENT_S_MAX):
            while True:
                for fact in self._seen:
                    if isinstance(fact, kind) and fact.saga == str(saga):
                        return fact
                seen = await self._passing.get()
                assert seen is not None, "the connection was lost"
                self._seen.append(seen.fact)


@pytest.fixture
async def news(world: World) -> AsyncIterator[News]:
    """What is announced from now on."""
    async with tap(world.operator.connection) as passing:
        yield News(passing)
