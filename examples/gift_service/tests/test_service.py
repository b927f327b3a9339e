"""The gift service alone, on a real broker and database: the test answers in the user service's place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.events import CoinsCaptured, CoinsCredited, CoinsExpired, CoinsRefused, CoinsReserved
from examples.gift_service.tests.scenes import GIFT, fence, gift, stands
from examples.gift_service.words import (
    GiftAnnounced,
    GiftCompleted,
    GiftDelivered,
    GiftFailed,
    GiftOffered,
    GiftOwed,
    GiftReturned,
    GiftReturning,
    GiftSent,
    GiftWithdrawn,
    SendGift,
    credit_id,
    room_id,
)
from holdfast.delivery.queries import ShowStatus
from holdfast.delivery.words import Fact
from local.site import Site
from tests.service.probe import Probe
from tests.service.sites import Instance, rows, running, until, value

FAR = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
async def gifts(site: Site) -> AsyncIterator[Instance]:
    """The gift service, which is in no hurry to ask again."""
    async with running(site, GIFT) as instance:
        yield instance


@pytest.fixture
async def asking(site: Site) -> AsyncIterator[Instance]:
    """The gift service, which asks again at once."""
    async with running(site, GIFT, ask_again_s=0.05) as instance:
        yield instance


def answer(told: type[Fact], account: str, operation: UUID, **more: Any) -> Fact:
    """What the user service says of a gift's operation."""
    said = {"account_id": account, "operation_id": operation, "asked_by": "gift", "amount": 20, "deadline": FAR}
    return told.model_validate({**said, "kind": "credit", "reason": "balance_limit", **more})


async def twice(probe: Probe, fact: Fact) -> None:
    """Under one message id, and under another."""
    same = uuid4()
    await probe.send(fact, id=same)
    await probe.send(fact, id=same)
    await probe.send(fact)


async def paid(probe: Probe, sent: SendGift) -> None:
    """The gift up to the pivot: both have agreed, and the coins have left the giver. Each step comes three times."""
    giver, receiver, room = sent.account_id, sent.receiver_id, room_id(sent.gift_id)
    await twice(probe, sent)
    for asked, operation, told, account in (
        (GiftOffered, sent.gift_id, CoinsReserved, giver),
        (GiftAnnounced, room, CoinsReserved, receiver),
        (GiftSent, sent.gift_id, CoinsCaptured, giver),
    ):
        await probe.hear(asked, operation)
        await twice(probe, answer(told, account, operation))
    await probe.hear(GiftDelivered, room)


@pytest.mark.usefixtures("gifts")
async def test_whatever_comes_again_a_gift_takes_each_step_once(site: Site, probe: Probe) -> None:
    sent = gift("ada", "bob")
    await paid(probe, sent)
    await twice(probe, answer(CoinsCaptured, "bob", room_id(sent.gift_id)))
    await probe.hear(GiftCompleted, sent.gift_id)
    await fence(probe)
    assert [len(probe.announced(each, sent.gift_id)) for each in (GiftOffered, GiftSent, GiftCompleted)] == [1, 1, 1]
    room = room_id(sent.gift_id)
    assert [len(probe.announced(each, room)) for each in (GiftAnnounced, GiftDelivered)] == [1, 1]
    assert not probe.parked(f"{GIFT}.dead", str(sent.gift_id))
    assert await value(site, GIFT, "SELECT count(*) FROM gifts WHERE gift_id = :g", g=sent.gift_id) == 1


@pytest.mark.usefixtures("asking")
async def test_what_is_not_answered_is_asked_again(probe: Probe) -> None:
    sent = gift("ada", "bob")
    room = room_id(sent.gift_id)
    await probe.send(sent)
    for kind, operation, told, account in (
        (GiftOffered, sent.gift_id, CoinsReserved, "ada"),
        (GiftAnnounced, room, CoinsReserved, "bob"),
        (GiftSent, sent.gift_id, CoinsCaptured, "ada"),
        (GiftDelivered, room, CoinsExpired, "bob"),
        (GiftOwed, credit_id(sent.gift_id, 1), CoinsRefused, "bob"),
        (GiftReturning, credit_id(sent.gift_id, 2), CoinsCredited, "ada"),
    ):
        await probe.hear(kind, operation, times=2)
        asked = probe.announced(kind, operation)
        assert len({each.id for each in asked}) == len(asked), "asked again, it is another message"
        await probe.send(answer(told, account, operation))
    await probe.hear(GiftReturned, sent.gift_id)


@pytest.mark.usefixtures("asking")
async def test_coins_that_nobody_can_be_credited_stay_in_the_books_until_somebody_can(site: Site, probe: Probe) -> None:
    sent = gift("ada", "bob")
    await paid(probe, sent)
    await probe.send(answer(CoinsExpired, "bob", room_id(sent.gift_id)))
    for number, kind, account in ((1, GiftOwed, "bob"), (2, GiftReturning, "ada"), (3, GiftReturning, "ada")):
        asked = await probe.hear(kind, credit_id(sent.gift_id, number))
        assert (asked["account_id"], asked["amount"]) == (account, 20)
        assert await _on_their_way(probe) == 20
        await twice(probe, answer(CoinsRefused, account, credit_id(sent.gift_id, number)))
    await probe.hear(GiftReturning, credit_id(sent.gift_id, 4))
    await twice(probe, answer(CoinsCredited, "ada", credit_id(sent.gift_id, 4)))
    assert (await probe.hear(GiftReturned, sent.gift_id))["reason"] == "receiver_balance_limit"
    assert await _on_their_way(probe) == 0
    assert not probe.parked(f"{GIFT}.dead", str(sent.gift_id))
    assert await rows(site, GIFT, "SELECT FROM gifts WHERE ask_again_at IS NOT NULL") == []


async def _on_their_way(probe: Probe) -> float:
    status = (await probe.ask_raw(f"{GIFT}.{ShowStatus.type}", b"{}"))["answer"]
    return float(status["gauges"]["gifts_coins_on_their_way"])


@pytest.mark.usefixtures("gifts")
async def test_answers_to_others_do_not_reach_it(probe: Probe) -> None:
    sent = gift("ada", "bob")
    await probe.send(sent)
    await probe.hear(GiftOffered, sent.gift_id)
    await probe.send(answer(CoinsReserved, "ada", sent.gift_id, asked_by="order"))
    await probe.send(answer(CoinsCaptured, "ada", uuid4(), asked_by="order"))
    await fence(probe)
    assert (await stands(probe, sent.gift_id))["state"] == "offered"
    assert not probe.parked(f"{GIFT}.dead", str(sent.gift_id))


@pytest.mark.usefixtures("gifts")
async def test_an_answer_that_nobody_asked_for_is_a_dead_letter(probe: Probe) -> None:
    nobodys = uuid4()
    await probe.send(answer(CoinsRefused, "ada", nobodys))
    await fence(probe)
    assert not probe.parked(f"{GIFT}.dead", str(nobodys))
    for kind in (CoinsCaptured, CoinsCredited, CoinsReserved):
        await probe.send(answer(kind, "ada", nobodys))
    await probe.park(f"{GIFT}.dead", str(nobodys), times=3)
    sent = gift("ada", "bob")
    await probe.send(sent)
    await probe.send(answer(CoinsCaptured, "bob", room_id(sent.gift_id)))
    assert "which is offered" in (await probe.park(f"{GIFT}.dead", str(room_id(sent.gift_id)))).reason


async def test_a_deadline_ends_a_gift_while_the_user_service_is_silent(site: Site, probe: Probe) -> None:
    async with running(site, GIFT, ask_again_s=0.05):
        sent = gift("ada", "bob", deadline_s=0.5)
        await probe.send(sent)
        await probe.hear(GiftOffered, sent.gift_id)
        await probe.send(answer(CoinsReserved, "ada", sent.gift_id))
        assert (await probe.hear(GiftFailed, sent.gift_id))["reason"] == "deadline_passed"
        await probe.hear(GiftWithdrawn, room_id(sent.gift_id), times=2)
        await probe.send(answer(CoinsRefused, "bob", room_id(sent.gift_id), kind="receive", reason="gift_withdrawn"))
        asked = "SELECT ask_again_at FROM gifts WHERE gift_id = :g"
        await until(lambda: _is_none(site, asked, sent.gift_id), "it asks no more")


async def _is_none(site: Site, query: str, gift_id: UUID) -> bool:
    return await value(site, GIFT, query, g=gift_id) is None


@pytest.mark.usefixtures("gifts")
async def test_a_gift_that_is_not_known_is_nothing(probe: Probe) -> None:
    assert await stands(probe, uuid4()) is None
