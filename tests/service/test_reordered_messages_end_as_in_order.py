"""What overtakes what it belongs to is remembered, or parked until it makes sense; the end is the same."""

from __future__ import annotations

from uuid import uuid4

import pytest

from contracts.commands import CancelOrder, FulfilmentAccepted, PlaceOrder, PutPromo, RedeemPromo
from contracts.events import (
    CoinsCaptured,
    CoinsMultiplied,
    CoinsRefused,
    CoinsReserved,
    OperationWaiting,
    OrderCancelled,
    OrderConfirmed,
    OrderFailed,
    OrderPlaced,
    PromoClaimed,
    PromoRedeemed,
    PromoRefused,
)
from holdfast.delivery.words import Fact
from local.site import Site
from tests.service.facts import account_with, doubled, item_with, placed, reserved
from tests.service.probe import Probe
from tests.service.sites import value


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize(
    ("ends", "reason"), [(OrderFailed, "order_failed"), (OrderCancelled, "cancelled"), (PromoRefused, "promo_refused")]
)
async def test_an_end_before_the_beginning_refuses_it(site: Site, probe: Probe, ends: type[Fact], reason: str) -> None:
    account, saga = await account_with(probe, 50), uuid4()
    of = {"order_id": saga, "redemption_id": saga, "account_id": account, "code": "X2", "reason": "changed_mind"}
    await probe.send(ends.model_validate(of))
    await probe.send(doubled(account, saga) if ends is PromoRefused else placed(account, saga))
    assert (await probe.hear(CoinsRefused, saga))["reason"] == reason
    assert await value(site, "user_service", "SELECT balance FROM accounts WHERE account_id = :a", a=account) == 50


@pytest.mark.usefixtures("users")
async def test_a_confirmation_before_the_order_is_parked_and_works_when_replayed(site: Site, probe: Probe) -> None:
    account, order_id = await account_with(probe, 50), uuid4()
    await probe.send(OrderConfirmed(order_id=order_id, account_id=account))
    parked = await probe.park("user_service.dead", str(order_id))
    assert "never reserved" in parked.reason
    await probe.send(placed(account, order_id))
    await probe.hear(CoinsReserved, order_id)
    await probe.replay("user_service", parked)
    await probe.hear(CoinsCaptured, order_id)
    await probe.replay("user_service", parked)
    await probe.fence("user_service")
    assert len(probe.announced(CoinsCaptured, order_id)) == 1
    assert len(probe.parked("user_service.dead", str(order_id))) == 1
    assert await value(site, "user_service", "SELECT balance FROM accounts WHERE account_id = :a", a=account) == 30


@pytest.mark.usefixtures("users")
async def test_a_doubling_that_overtakes_the_order_it_was_sent_after_waits_for_it(site: Site, probe: Probe) -> None:
    account, order_id, redemption_id = await account_with(probe, 50), uuid4(), uuid4()
    await probe.send(doubled(account, redemption_id, after=(order_id,)))
    waiting = await probe.hear(OperationWaiting, redemption_id)
    assert waiting["waits_for"] == [str(order_id)]
    await probe.send(placed(account, order_id))
    await probe.hear(CoinsReserved, order_id)
    assert not probe.announced(CoinsMultiplied, redemption_id)
    await probe.send(OrderFailed(order_id=order_id, account_id=account, reason="out_of_stock"))
    assert (await probe.hear(CoinsMultiplied, redemption_id))["added"] == 50
    assert await value(site, "user_service", "SELECT balance FROM accounts WHERE account_id = :a", a=account) == 100


@pytest.mark.usefixtures("orders")
async def test_a_cancel_that_overtakes_its_order_cancels_it(probe: Probe) -> None:
    item, order_id = await item_with(probe, 3), uuid4()
    await probe.send(CancelOrder(order_id=order_id, account_id="buyer"))
    await probe.hear(OrderCancelled, order_id)
    await probe.send(PlaceOrder(order_id=order_id, account_id="buyer", item=item))
    await probe.hear(OrderCancelled, order_id, times=2)
    assert not probe.announced(OrderPlaced, order_id)


@pytest.mark.usefixtures("orders")
async def test_an_acceptance_before_the_coins_are_reserved_counts_when_they_are(probe: Probe) -> None:
    item, order_id = await item_with(probe, 0, "external"), uuid4()
    await probe.send(PlaceOrder(order_id=order_id, account_id="buyer", item=item))
    await probe.send(FulfilmentAccepted(order_id=order_id))
    await probe.fence("order_service")
    assert not probe.announced(OrderConfirmed, order_id)
    await probe.send(reserved("buyer", order_id))
    await probe.hear(OrderConfirmed, order_id)


@pytest.mark.usefixtures("orders")
async def test_an_acceptance_before_its_order_is_parked_and_works_when_replayed(probe: Probe) -> None:
    item, order_id = await item_with(probe, 0, "external"), uuid4()
    await probe.send(FulfilmentAccepted(order_id=order_id))
    parked = await probe.park("order_service.dead", str(order_id))
    assert "unknown" in parked.reason
    await probe.send(PlaceOrder(order_id=order_id, account_id="buyer", item=item))
    await probe.send(reserved("buyer", order_id))
    await probe.replay("order_service", parked)
    await probe.hear(OrderConfirmed, order_id)


@pytest.mark.usefixtures("promos")
async def test_an_effect_before_its_redemption_is_parked_and_works_when_replayed(probe: Probe) -> None:
    code, redemption_id = f"code-{uuid4()}", uuid4()
    await probe.send(PutPromo.model_validate({"code": code, "effect": {"kind": "multiply", "factor": 2}}))
    await probe.send(CoinsMultiplied(account_id="fan", operation_id=redemption_id, asked_by="promo", factor=2, added=9))
    parked = await probe.park("promo_service.dead", str(redemption_id))
    await probe.send(RedeemPromo(redemption_id=redemption_id, account_id="fan", code=code))
    await probe.hear(PromoClaimed, redemption_id)
    await probe.replay("promo_service", parked)
    assert (await probe.hear(PromoRedeemed, redemption_id))["added"] == 9
