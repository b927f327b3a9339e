"""50 coins, a purchase for 20, a doubling right behind it, and between the two the order service stands still."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest

from client.audit import audit
from client.client import Client
from client.waiting import until
from contracts.queries import AccountView
from contracts.roles import Multiply
from holdfast.entities.words import PendingView
from local.parts import Parts
from tests.evidence import record
from tests.faults.stage import Stage

STILL_S = float(os.environ.get("HOLDFAST_STILL_S", "45"))
SOON_S_MAX = 60.0
PATIENT = {"PROMO_SERVICE_WAIT_S": "86400"}
"""As it is unless an operator says otherwise."""
ITEM, CODE, PRICE, COINS = "sword", "double", 20, 50


@pytest.fixture
def patient(mortal_parts: Parts) -> Iterator[Stage]:
    """Services that wait as long as they do by default."""
    opened = Stage(mortal_parts, PATIENT)
    try:
        opened.open()
        yield opened
    finally:
        opened.close()


@dataclass(frozen=True)
class People:
    """Who buys and doubles, and who has the goods."""

    client: Client
    operator: Client

    async def account(self, name: str, coins: int) -> None:
        """A new account with this many coins."""
        await self.client.outcome(await self.client.open_account(name))
        sent = await self.client.credit(name, coins)
        assert (await self.client.wait_for_operation(name, sent.id, SOON_S_MAX)).state == "credited"

    async def coins(self, name: str) -> int:
        """The account's coins, once nothing is pending."""
        return (
            await until(lambda: self.client.ask.account(name), lambda seen: not seen.pending, SOON_S_MAX, name)
        ).balance

    async def pending(self, name: str, operation_id: UUID, state: str) -> PendingView:
        """The operation, once it stands so."""

        def stands(view: AccountView) -> bool:
            return any((each.operation_id, each.state) == (operation_id, state) for each in view.pending)

        view = await until(lambda: self.client.ask.account(name), stands, SOON_S_MAX, f"{name}: {state}")
        return next(each for each in view.pending if each.operation_id == operation_id)


@pytest.fixture
async def people(patient: Stage) -> AsyncIterator[People]:
    """With goods that are made to order, and a code that doubles."""
    async with (
        Client(patient.env["HOLDFAST_AMQP_URL"]) as client,
        Client(patient.env["HOLDFAST_OPERATOR_AMQP_URL"]) as operator,
    ):
        await operator.outcome(await operator.put_item(ITEM, PRICE, fulfilment="external"))
        await operator.outcome(await operator.put_promo(CODE, Multiply(factor=2)))
        yield People(client, operator)


@pytest.mark.timeout(STILL_S + 300)
async def test_a_doubling_behind_a_purchase_waits_as_long_as_the_order_service_stands_still(
    patient: Stage, people: People
) -> None:
    """At the end there are 60 coins if the order succeeds, and 100 if it fails; a naive saga would say 80."""
    ends, client = {"lucky": 60, "unlucky": 100}, people.client
    for account in ends:
        await people.account(account, COINS)
    await people.account("bystander", COINS)
    patient.signal("order_service", signal.SIGSTOP)
    try:
        orders = {account: (await client.place_order(account, ITEM)).id for account in ends}
        doublings = {account: await client.redeem_promo(account, CODE) for account in ends}
        for account, doubling in doublings.items():
            assert doubling.command.after == (orders[account],)  # type: ignore[attr-defined]
            await people.pending(account, doubling.id, "outside")
        unaffected = await client.redeem_promo("bystander", CODE)
        assert (await client.wait_for_redemption(unaffected.id, SOON_S_MAX)).added == COINS
        await asyncio.sleep(STILL_S)  # the order service stands still
        for account, doubling in doublings.items():
            assert (await people.pending(account, doubling.id, "outside")).waits_for == (orders[account],)
    finally:
        patient.signal("order_service", signal.SIGCONT)
    for account, doubling in doublings.items():
        accepted = await people.pending(account, doubling.id, "accepted")
        assert accepted.waits_for == (orders[account],)
    await people.operator.accept_fulfilment(orders["lucky"])
    await people.operator.reject_fulfilment(orders["unlucky"], "broken")
    for account, coins in ends.items():
        ended = await client.wait_for_order(orders[account], SOON_S_MAX)
        redeemed = await client.wait_for_redemption(doublings[account].id, SOON_S_MAX)
        assert (ended.state, redeemed.state) == ("completed" if coins == 60 else "failed", "redeemed")
        assert await people.coins(account) == coins
    report = await audit(patient.env["HOLDFAST_AUDIT_DATABASE_URL"])
    assert (report.findings, report.in_flight) == ((), 0)
    figure = f"accounts with other than 60 coins (bought) or 100 (not), order_service still for {STILL_S:.0f} s"
    record(figure, f"0 of {len(ends)}")
