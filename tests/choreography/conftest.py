"""The whole system, as its users have it: the broker, a client's and an operator's user, and the audit.

Natively it is started on parts of the test run; with HOLDFAST_STACK=compose it runs already, and the environment says
where.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from client.audit import Report, audit
from client.client import Client
from client.waiting import until
from contracts.roles import Multiply, PromoEffect
from contracts.queries import AccountView, PendingView
from local.stack import Stack

URLS = ("HOLDFAST_AMQP_URL", "HOLDFAST_OPERATOR_AMQP_URL", "HOLDFAST_AUDIT_DATABASE_URL")


@pytest.fixture(scope="session")
def environment(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Where the system is."""
    if os.environ.get("HOLDFAST_STACK") == "compose":
        yield {name: os.environ[name] for name in URLS}
        return
    parts = request.getfixturevalue("parts")
    stack = Stack(parts, "choreography")
    stack.start()
    try:
        yield stack.site.client_env()
    finally:
        stack.stop()
        stack.site.drop()


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

    async def goods(self, price: int, stock: int = 0) -> str:
        """A new item: with stock it is fulfilled instantly, without externally."""
        name = f"i-{uuid4().hex[:12]}"
        sent = await self.operator.put_item(name, price, stock, "instant" if stock else "external")
        await self.operator.outcome(sent)
        return name

    async def code(self, effect: PromoEffect | None = None, uses_max: int | None = None) -> str:
        """A new promo code, which doubles unless told otherwise."""
        name = f"c-{uuid4().hex[:12]}"
        await self.operator.outcome(
            await self.operator.put_promo(name, effect or Multiply(factor=2), uses_max=uses_max)
        )
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
