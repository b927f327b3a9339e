"""Gifts between real accounts: the gift service and the user service at work, on a broker and databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from client.audit import audit
from client.client import Client
from contracts.base import COINS_MAX
from contracts.commands import CreditAccount, PlaceOrder
from contracts.events import (
    CoinsCaptured,
    CoinsCredited,
    CoinsExpired,
    CoinsMultiplied,
    CoinsReleased,
    CoinsReserved,
    OperationWaiting,
    OrderConfirmed,
)
from examples.gift_service.tests.scenes import GIFT, account, coins, ended, endings, fence, full, gift, shown, stands
from examples.gift_service.words import (
    CancelGift,
    CancelGiftRefused,
    GiftCancelled,
    GiftCompleted,
    GiftFailed,
    GiftOffered,
    GiftOwed,
    GiftReturning,
    GiftWithdrawn,
    credit_id,
    room_id,
)
from holdfast.delivery.checkpoints import Checkpoint
from local.site import Site
from tests.service.facts import doubled, placed
from tests.service.probe import Probe
from tests.service.sites import Instance, rows, running, value

pytestmark = pytest.mark.usefixtures("users")


@pytest.fixture
async def gifts(site: Site) -> AsyncIterator[Instance]:
    """The gift service at work."""
    async with running(site, GIFT) as instance:
        yield instance


@pytest.mark.usefixtures("gifts")
async def test_a_gift_moves_its_coins_once(site: Site, probe: Probe) -> None:
    giver, receiver = await account(probe, 50), await account(probe)
    sent = gift(giver, receiver)
    (message,) = await probe.send(sent)
    assert await ended(probe, sent.gift_id) == "gift.completed"
    assert await coins(probe, giver, receiver) == [30, 20]
    view = await stands(probe, sent.gift_id)
    assert (view["state"], view["amount"], view["receiver_id"]) == ("completed", 20, receiver)

    await probe.send(sent, id=message)
    await probe.send(sent)
    await probe.hear(GiftCompleted, sent.gift_id, times=2)
    await fence(probe)
    assert await coins(probe, giver, receiver) == [30, 20]
    assert len(probe.announced(GiftOffered, sent.gift_id)) == 1
    moved = "SELECT sum(balance_after - balance_before) FROM ledger WHERE asked_by = 'gift' AND account_id = ANY(:a)"
    assert await value(site, "user_service", moved, a=[giver, receiver]) == 0


@pytest.mark.usefixtures("gifts")
@pytest.mark.parametrize(
    ("giver_has", "receiver_is", "reason"),
    [
        (5, "empty", "insufficient_coins"),
        (50, "unknown", "receiver_unknown_account"),
        (50, "full", "receiver_balance_limit"),
        (None, "empty", "unknown_account"),
    ],
)
async def test_a_gift_that_one_side_refuses_moves_nothing(
    probe: Probe, giver_has: int | None, receiver_is: str, reason: str
) -> None:
    giver = f"unknown-{uuid4()}" if giver_has is None else await account(probe, giver_has)
    receivers = {"empty": account, "full": full}
    receiver = await receivers[receiver_is](probe) if receiver_is in receivers else f"unknown-{uuid4()}"
    before = [(await shown(probe, each)) and await coins(probe, each) for each in (giver, receiver)]
    sent = gift(giver, receiver)
    await probe.send(sent)
    assert await ended(probe, sent.gift_id) == "gift.failed"
    assert probe.announced(GiftFailed, sent.gift_id)[0].data["reason"] == reason
    assert [(await shown(probe, each)) and await coins(probe, each) for each in (giver, receiver)] == before
    assert (await stands(probe, sent.gift_id))["reason"] == reason


@pytest.mark.usefixtures("gifts")
async def test_a_gift_to_oneself_is_refused_at_the_edge(probe: Probe) -> None:
    giver = await account(probe, 50)
    sent = gift(giver, "another")
    await probe.send(sent.model_copy(update={"receiver_id": giver}))
    parked = await probe.park(f"{GIFT}.dead", str(sent.gift_id))
    assert "receiver_id must be another account than account_id" in parked.reason
    assert await coins(probe, giver) == [50]


class Holds:
    """A hook that keeps the service from handling the n-th batch from now on, until it is let go on."""

    def __init__(self) -> None:
        self._left, self.go_on = 0, asyncio.Event()

    async def begin(self, probe: Probe, batch: int) -> None:
        """Count from here, when what earlier tests left in the queue is handled."""
        await fence(probe)
        self._left = batch

    async def __call__(self, checkpoint: Checkpoint) -> None:
        if checkpoint == "batch taken" and self._left:
            self._left -= 1
            if not self._left:
                await self.go_on.wait()


@pytest.mark.parametrize(
    ("deadline_s", "ending", "then"), [(None, "gift.completed", [60, 60]), (1.0, "gift.failed", [100, 20])]
)
async def test_a_doubling_waits_behind_a_gift_in_flight(
    site: Site, probe: Probe, deadline_s: float | None, ending: str, then: list[int]
) -> None:
    """Held when both accounts have agreed: the gift's command, the giver's answer, the receiver's."""
    giver, receiver, holds = await account(probe, 50), await account(probe, 10), Holds()
    sent = gift(giver, receiver, deadline_s=deadline_s)
    doublings = doubled(giver, uuid4()), doubled(receiver, uuid4())
    async with running(site, GIFT, holds):
        await holds.begin(probe, 3)
        try:
            await probe.send(sent)
            await probe.hear(CoinsReserved, room_id(sent.gift_id))
            await probe.send(*doublings)
            waits_for = [(await probe.hear(OperationWaiting, each.redemption_id))["waits_for"] for each in doublings]
            assert waits_for == [[str(sent.gift_id)], [str(room_id(sent.gift_id))]]
            assert [(await shown(probe, each))["available"] for each in (giver, receiver)] == [30, 10]
            if deadline_s:
                await probe.hear(CoinsExpired, sent.gift_id)
        finally:
            holds.go_on.set()
        assert await ended(probe, sent.gift_id) == ending
    for each in doublings:
        await probe.hear(CoinsMultiplied, each.redemption_id)
    assert await coins(probe, giver, receiver) == then


async def test_a_gift_is_cancelled_until_it_is_sent(site: Site, probe: Probe) -> None:
    giver, receiver, holds = await account(probe, 50), await account(probe), Holds()
    sent = gift(giver, receiver)
    cancel = CancelGift(gift_id=sent.gift_id, account_id=giver)
    async with running(site, GIFT, holds):
        await holds.begin(probe, 2)
        try:
            await probe.send(sent)
            await probe.hear(CoinsReserved, sent.gift_id)
            await probe.send(cancel.model_copy(update={"account_id": receiver}))
            await probe.send(cancel)
        finally:
            holds.go_on.set()
        assert await ended(probe, sent.gift_id) == "gift.cancelled"
        refused = await probe.hear(CancelGiftRefused, sent.gift_id)
        assert (refused["account_id"], refused["reason"]) == (receiver, "other_account")
        await probe.hear(CoinsReleased, sent.gift_id)
        assert await coins(probe, giver, receiver) == [50, 0]

        again = gift(giver, receiver)
        await probe.send(again)
        assert await ended(probe, again.gift_id) == "gift.completed"
        await probe.send(cancel.model_copy(update={"gift_id": again.gift_id}))
        assert (await probe.hear(CancelGiftRefused, again.gift_id))["reason"] == "completed"
    assert await coins(probe, giver, receiver) == [30, 20]


async def test_a_cancel_that_overtakes_its_gift_cancels_it(site: Site, probe: Probe) -> None:
    giver, receiver = await account(probe, 50), await account(probe)
    sent = gift(giver, receiver)
    async with running(site, GIFT):
        await probe.send(CancelGift(gift_id=sent.gift_id, account_id=giver))
        await probe.hear(GiftCancelled, sent.gift_id)
        await probe.send(sent)
        await probe.hear(GiftCancelled, sent.gift_id, times=2)
        assert not probe.announced(GiftOffered, sent.gift_id)
    assert await coins(probe, giver, receiver) == [50, 0]


async def test_an_id_is_of_one_gift(site: Site, probe: Probe) -> None:
    giver, receiver = await account(probe, 50), await account(probe)
    sent = gift(giver, receiver)
    async with running(site, GIFT):
        await probe.send(sent)
        await ended(probe, sent.gift_id)
        for other in (
            gift(giver, receiver, 21, gift_id=sent.gift_id),
            gift(giver, "somebody", gift_id=sent.gift_id),
            gift(giver, receiver, gift_id=room_id(sent.gift_id)),
        ):
            (message,) = await probe.send(other)
            await probe.park(f"{GIFT}.dead", str(message))
    assert await coins(probe, giver, receiver) == [30, 20]


async def test_an_id_that_the_giver_has_used_otherwise_is_refused(site: Site, probe: Probe) -> None:
    giver, receiver, used = await account(probe, 50), await account(probe), uuid4()
    await probe.send(placed(giver, used, 1))
    await probe.hear(CoinsReserved, used)
    async with running(site, GIFT):
        await probe.send(gift(giver, receiver, gift_id=used))
        assert await ended(probe, used) == "gift.failed"
    assert (await stands_as(site, used)) == ("failed", "id_used")


async def test_a_crowd_of_gifts_keeps_every_coin(site: Site, probe: Probe) -> None:
    """Gifts in circles, more than their givers have: each moves its coins once or not at all."""
    names = [await account(probe, 50) for _ in range(4)]
    sent = [gift(names[n % 4], names[(n + 1 + n // 4 % 3) % 4], 5 + n % 17) for n in range(120)]
    async with running(site, GIFT):
        for each in sent:
            await probe.send(each)
        await ended(probe, *(each.gift_id for each in sent))
        found = await coins(probe, *names)
    expected = dict.fromkeys(names, 50)
    for each in sent:
        if probe.announced(GiftCompleted, each.gift_id):
            expected[each.account_id] -= each.amount
            expected[each.receiver_id] += each.amount
    assert found == list(expected.values())
    assert sum(found) == 200
    assert min(found) >= 0
    report = await audit(site.client_env()["HOLDFAST_AUDIT_DATABASE_URL"])
    assert report.accounts >= 4
    # Other tests speak for services that are not there, which the audit sees.
    assert not [each for each in report.findings if any(name in str(each) for name in names)]


@pytest.mark.usefixtures("gifts")
async def test_a_client_sends_a_gift_and_what_it_sends_next_comes_after_it(site: Site, probe: Probe) -> None:
    giver, receiver = await account(probe, 50), await account(probe)
    async with Client(site.client_env()["HOLDFAST_AMQP_URL"], name="test client") as client:
        sent = gift(giver, receiver)
        told = await client.send(sent, fill_after=True)
        assert told.id == sent.gift_id
        assert (await client.outcome(told)).outcome == "handled"
        order = await client.place_order(giver, "no-such-item")
        assert isinstance(order.command, PlaceOrder)
        assert order.command.after == (sent.gift_id,)
        assert await ended(probe, sent.gift_id) == "gift.completed"
        assert (await client.wait_for_operation(giver, sent.gift_id)).state == "captured"
        assert (await client.wait_for_operation(receiver, room_id(sent.gift_id))).added == 20


async def stands_as(site: Site, gift_id: UUID) -> tuple[str, str]:
    """State and reason, as they are kept."""
    (row,) = await rows(site, GIFT, "SELECT state, reason FROM gifts WHERE gift_id = :g", g=gift_id)
    return row.state, row.reason


@pytest.mark.parametrize(
    ("receiver_is_full", "giver_is_full", "ending"),
    [(False, False, "gift.completed"), (True, False, "gift.returned"), (True, True, "gift.returned")],
)
async def test_a_room_that_was_lost_after_the_pivot_loses_no_coins(
    site: Site, probe: Probe, receiver_is_full: bool, giver_is_full: bool, ending: str
) -> None:
    """Held when the giver's coins are captured: the gift's command, two agreements, the capture."""
    giver, receiver, holds = await account(probe, 50), await account(probe, 10), Holds()
    sent = gift(giver, receiver)
    room = {"gift_id": sent.gift_id, "room_id": room_id(sent.gift_id), "account_id": receiver}
    async with running(site, GIFT, holds, ask_again_s=0.05):
        await holds.begin(probe, 4)
        try:
            await probe.send(sent)
            await probe.hear(CoinsCaptured, sent.gift_id)
            # As if the room had expired, which takes a month.
            await probe.send(GiftWithdrawn.model_validate(room))
            await probe.hear(CoinsReleased, room_id(sent.gift_id))
            await fill(probe, *[receiver] * receiver_is_full, *[giver] * giver_is_full)
        finally:
            holds.go_on.set()
        await probe.hear(GiftOwed, credit_id(sent.gift_id, 1))
        if giver_is_full:
            await probe.hear(GiftReturning, credit_id(sent.gift_id, 4))
            assert not endings(probe, sent.gift_id)
            await spend(probe, giver, 1000)
        assert await ended(probe, sent.gift_id) == ending
    expected = [30 + 20 * (ending == "gift.returned"), 10 + 20 * (ending == "gift.completed")]
    if receiver_is_full:
        expected[1] = COINS_MAX
    if giver_is_full:
        expected[0] = COINS_MAX - 1000 + 20
    assert await coins(probe, giver, receiver) == expected


async def fill(probe: Probe, *names: str) -> None:
    """Credit these accounts until they may hold no more."""
    for each in names:
        credit = CreditAccount(
            credit_id=uuid4(), account_id=each, amount=COINS_MAX - (await shown(probe, each))["balance"]
        )
        await probe.send(credit)
        await probe.hear(CoinsCredited, credit.credit_id)


async def spend(probe: Probe, name: str, amount: int) -> None:
    """Let the account pay for an order."""
    order = placed(name, uuid4(), amount)
    await probe.send(order)
    await probe.hear(CoinsReserved, order.order_id)
    await probe.send(OrderConfirmed(order_id=order.order_id, account_id=name))
    await probe.hear(CoinsCaptured, order.order_id)
