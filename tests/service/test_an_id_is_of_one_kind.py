"""An id that names an order is no redemption's: what comes second is refused, and the first goes its way."""

from __future__ import annotations

from uuid import uuid4

import pytest

from contracts.commands import PlaceOrder
from contracts.events import (
    CoinsCaptured,
    CoinsMultiplied,
    CoinsRefused,
    CoinsReserved,
    OrderConfirmed,
    OrderPlaced,
    PromoRefused,
)
from local.site import Site
from tests.service.facts import account_with, doubled, item_with, placed, reserved
from tests.service.probe import Probe
from tests.service.sites import value


@pytest.mark.usefixtures("users")
async def test_a_redemption_under_an_orders_id_is_refused_and_the_order_goes_on(site: Site, probe: Probe) -> None:
    account, order_id = await account_with(probe, 50), uuid4()
    await probe.send(placed(account, order_id))
    await probe.hear(CoinsReserved, order_id)
    await probe.send(doubled(account, order_id))
    refused = await probe.hear(CoinsRefused, order_id)
    assert (refused["kind"], refused["reason"]) == ("multiply", "id_used")
    await probe.send(PromoRefused(redemption_id=order_id, account_id=account, reason="id_used"))
    await probe.send(OrderConfirmed(order_id=order_id, account_id=account))
    await probe.hear(CoinsCaptured, order_id)
    await probe.fence("user_service")
    assert not probe.announced(CoinsMultiplied, order_id)
    assert len(probe.announced(CoinsRefused, order_id)) == 1
    assert not probe.parked("user_service.dead")
    assert await value(site, "user_service", "SELECT balance FROM accounts WHERE account_id = :a", a=account) == 30


@pytest.mark.usefixtures("orders")
async def test_the_refusal_of_a_redemption_does_not_fail_the_order_of_that_id(probe: Probe) -> None:
    item, order_id = await item_with(probe, 3), uuid4()
    await probe.send(PlaceOrder(order_id=order_id, account_id="buyer", item=item))
    await probe.hear(OrderPlaced, order_id)
    await probe.send(
        CoinsRefused(account_id="buyer", operation_id=order_id, asked_by="promo", kind="multiply", reason="id_used")
    )
    await probe.send(reserved("buyer", order_id))
    await probe.hear(OrderConfirmed, order_id)
    assert not probe.parked("order_service.dead", str(order_id))
