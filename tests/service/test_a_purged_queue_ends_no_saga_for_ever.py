"""An operator purges an inbox: whoever waits for an answer asks again, and gets it, wherever the saga stood."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Literal
from uuid import UUID, uuid4

import pytest

from contracts.commands import FulfilmentAccepted, PlaceOrder, PutPromo, RedeemPromo
from contracts.events import (
    CoinsCaptured,
    CoinsCredited,
    CoinsExpired,
    CoinsMultiplied,
    CoinsRefused,
    CoinsReserved,
    FulfilmentRequested,
    OperationAccepted,
    OrderCompleted,
    OrderConfirmed,
    OrderFailed,
    OrderPlaced,
    PromoClaimed,
    PromoRedeemed,
    PromoRefused,
)
from contracts.roles import Bonus, Multiply, PromoEffect
from holdfast.delivery.names import inbox_queue
from holdfast.delivery.words import Fact, Service
from local.site import Site
from tests.service.facts import account_with, item_with
from tests.service.probe import Probe
from tests.service.sites import Instance, entitle_the_administrator, running, until, value

ASK_AGAIN_S = 0.3

Lost = Literal["question", "answer"]


@pytest.mark.parametrize(
    ("coins", "answer", "end"), [(50, CoinsReserved, OrderCompleted), (3, CoinsRefused, OrderFailed)]
)
@pytest.mark.parametrize("lost", ["question", "answer"])
async def test_an_order_asks_for_its_coins_again(
    site: Site, probe: Probe, lost: Lost, coins: int, answer: type[Fact], end: type[Fact]
) -> None:
    account, order_id = await _account(site, probe, coins), uuid4()
    async with _asking(site, "order_service"):
        item = await item_with(probe, 3)
        await probe.send(PlaceOrder(order_id=order_id, account_id=account, item=item))
        await probe.hear(OrderPlaced, order_id)
        if lost == "question":
            await _lose(site, probe, "user_service")
    if lost == "answer":
        await _answered(site, probe, "order_service", answer, order_id)
    async with running(site, "user_service"), _asking(site, "order_service"):
        await probe.hear(end, order_id)
    _was_asked_again(probe, OrderPlaced, order_id)


@pytest.mark.parametrize("lost", ["question", "answer"])
async def test_an_order_asks_for_its_capture_again(site: Site, probe: Probe, lost: Lost) -> None:
    account, order_id = await _account(site, probe, 50), uuid4()
    async with _asking(site, "order_service"):
        await _reserved(site, probe, account, order_id)
        await probe.send(FulfilmentAccepted(order_id=order_id))
        await probe.hear(OrderConfirmed, order_id)
        if lost == "question":
            await _lose(site, probe, "user_service")
    if lost == "answer":
        await _answered(site, probe, "order_service", CoinsCaptured, order_id)
    async with running(site, "user_service"), _asking(site, "order_service"):
        await probe.hear(OrderCompleted, order_id)
        await probe.fence("user_service")
        assert await value(site, "user_service", "SELECT balance FROM accounts WHERE account_id = :a", a=account) == 45
    _was_asked_again(probe, OrderConfirmed, order_id)


async def test_an_order_whose_capture_came_too_late_hears_of_it_in_the_end(site: Site, probe: Probe) -> None:
    account, order_id = await _account(site, probe, 50), uuid4()
    async with _asking(site, "order_service"):
        await _reserved(site, probe, account, order_id, deadline_s=6.0)
        await probe.send(FulfilmentAccepted(order_id=order_id))
        await probe.hear(OrderConfirmed, order_id)
        await _lose(site, probe, "user_service")
    await _answered(site, probe, "order_service", CoinsExpired, order_id)
    async with running(site, "user_service"), _asking(site, "order_service"):
        assert (await probe.hear(OrderFailed, order_id))["reason"] == "reservation_expired"
    _was_asked_again(probe, OrderConfirmed, order_id)


@pytest.mark.parametrize(
    ("effect", "answer", "added"),
    [
        (Multiply(factor=2), CoinsMultiplied, 50),
        (Bonus(amount=7), CoinsCredited, 7),
        (Bonus(amount=7), CoinsRefused, None),
    ],
)
@pytest.mark.parametrize("lost", ["question", "answer"])
async def test_a_redemption_asks_for_its_effect_again(
    site: Site, probe: Probe, lost: Lost, effect: PromoEffect, answer: type[Fact], added: int | None
) -> None:
    account = f"nobody-{uuid4()}" if added is None else await _account(site, probe, 50)
    code, redemption_id = f"code-{uuid4()}", uuid4()
    async with _asking(site, "promo_service"):
        await probe.send(PutPromo(code=code, effect=effect))
        await probe.send(RedeemPromo(redemption_id=redemption_id, account_id=account, code=code))
        await probe.hear(PromoClaimed, redemption_id)
        if lost == "question":
            await _lose(site, probe, "user_service")
        await probe.send(PutPromo(code=code, effect=Multiply(factor=9)))
        await probe.fence("promo_service")
    if lost == "answer":
        await _answered(site, probe, "promo_service", answer, redemption_id)
    async with running(site, "user_service"), _asking(site, "promo_service"):
        ended = await probe.hear(PromoRefused if added is None else PromoRedeemed, redemption_id)
    assert ended.get("added") == added
    _was_asked_again(probe, PromoClaimed, redemption_id)


async def test_an_effect_that_rightly_waits_is_asked_for_seldom_and_waits_on(site: Site, probe: Probe) -> None:
    account, order_id, redemption_id = await _account(site, probe, 50), uuid4(), uuid4()
    code = f"code-{uuid4()}"
    async with _asking(site, "order_service"), _asking(site, "promo_service"), running(site, "user_service"):
        item = await item_with(probe, 0, "external")
        await probe.send(PlaceOrder(order_id=order_id, account_id=account, item=item))
        await probe.hear(FulfilmentRequested, order_id)
        await probe.send(PutPromo(code=code, effect=Multiply(factor=2)))
        await probe.send(RedeemPromo(redemption_id=redemption_id, account_id=account, code=code))
        await probe.hear(OperationAccepted, redemption_id, times=3)
        asks = "SELECT asks FROM redemptions WHERE redemption_id = :r"
        assert await value(site, "promo_service", asks, r=redemption_id) >= 2
        await probe.send(FulfilmentAccepted(order_id=order_id))
        assert (await probe.hear(PromoRedeemed, redemption_id))["added"] == 45
        await probe.hear(OrderCompleted, order_id)
    assert len(probe.announced(OrderPlaced, order_id)) == 1


def _asking(site: Site, service: Service) -> AbstractAsyncContextManager[Instance]:
    """The service, which asks again soon."""
    return running(site, service, ask_again_s=ASK_AGAIN_S)


async def _account(site: Site, probe: Probe, coins: int) -> str:
    async with running(site, "user_service"):
        return await account_with(probe, coins)


async def _reserved(site: Site, probe: Probe, account: str, order_id: UUID, deadline_s: float | None = None) -> None:
    """The order has its coins, and waits for its goods."""
    item = await item_with(probe, 0, "external")
    async with running(site, "user_service"):
        await probe.send(PlaceOrder(order_id=order_id, account_id=account, item=item, deadline_s=deadline_s))
        await probe.hear(FulfilmentRequested, order_id)


async def _answered(site: Site, probe: Probe, asker: Service, answer: type[Fact], saga: UUID) -> None:
    """The user service answers while the asker is away, and the answer is lost."""
    async with running(site, "user_service"):
        await probe.hear(answer, saga)
    await _lose(site, probe, asker)


async def _lose(site: Site, probe: Probe, service: Service) -> None:
    """An operator with the administrator's rights purges the service's inbox, which is not empty."""
    entitle_the_administrator(site)
    channel = await probe.channel("admin")
    queue = await channel.get_queue(inbox_queue(service), ensure=False)

    async def purged() -> int:
        return (await queue.purge()).message_count or 0

    await until(purged, f"something is lost from the inbox of {service}")


def _was_asked_again(probe: Probe, question: type[Fact], saga: UUID) -> None:
    """The question went out under another id: under the first one, its inbox may drop it."""
    assert len({each.id for each in probe.announced(question, saga)}) > 1
