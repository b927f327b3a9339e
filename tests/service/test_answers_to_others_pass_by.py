"""What the user service answers to one service reaches no other."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.commands import PlaceOrder, PutPromo, RedeemPromo
from contracts.events import (
    CoinsCaptured,
    CoinsCredited,
    CoinsExpired,
    CoinsMultiplied,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
    OperationEvent,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    PromoClaimed,
    PromoRedeemed,
)
from contracts.roles import Multiply
from contracts.topology import SHOP
from holdfast.delivery.words import Fact
from local.site import Site
from tests.service.facts import FAR, item_with, reserved
from tests.service.probe import Probe
from tests.service.sites import rows

STRANGERS = ("gift", "commands", "user", "")
SAYS: dict[type[OperationEvent], dict[str, Any]] = {
    CoinsReserved: {"amount": 5, "deadline": FAR},
    CoinsRefused: {"kind": "reserve", "reason": "insufficient_coins"},
    CoinsCaptured: {"amount": 5},
    CoinsReleased: {"amount": 5},
    CoinsExpired: {"amount": 5},
    CoinsCredited: {"kind": "bonus", "amount": 5},
    CoinsMultiplied: {"factor": 2, "added": 5},
}


def _answers(service: str, account: str, operation_id: UUID, asked_by: str) -> list[Fact]:
    """Each answer that the service takes."""
    of = {"account_id": account, "operation_id": operation_id, "asked_by": asked_by}
    kinds = [fact for fact in SHOP.facts_for(service).values() if issubclass(fact, OperationEvent)]
    return [kind.model_validate(of | SAYS[kind]) for kind in kinds]


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize("stranger", [*STRANGERS, "promo"])
async def test_the_order_service_acts_on_answers_to_orders_alone(site: Site, probe: Probe, stranger: str) -> None:
    """Also where a stranger's operation has an order's id."""
    item, order_id, unknown = await item_with(probe, 3), uuid4(), uuid4()
    await probe.send(PlaceOrder(order_id=order_id, account_id="buyer", item=item))
    await probe.hear(OrderPlaced, order_id)
    for answer in (each for saga in (order_id, unknown) for each in _answers("order_service", "buyer", saga, stranger)):
        await probe.send(answer)
    await probe.fence("order_service")
    found = "SELECT order_id, state FROM orders WHERE order_id IN (:one, :other)"
    assert await rows(site, "order_service", found, one=order_id, other=unknown) == [(order_id, "placed")]
    assert not probe.announced(OrderConfirmed, order_id)
    await probe.send(reserved("buyer", order_id))
    await probe.send(CoinsCaptured(account_id="buyer", operation_id=order_id, asked_by="order", amount=5))
    await probe.hear(OrderCompleted, order_id)
    assert not probe.parked("order_service.dead")


@pytest.mark.usefixtures("promos")
@pytest.mark.parametrize("stranger", [*STRANGERS, "order"])
async def test_the_promo_service_acts_on_answers_to_redemptions_alone(site: Site, probe: Probe, stranger: str) -> None:
    code, redemption_id, unknown = f"code-{uuid4()}", uuid4(), uuid4()
    await probe.send(PutPromo(code=code, effect=Multiply(factor=2)))
    await probe.send(RedeemPromo(redemption_id=redemption_id, account_id="fan", code=code))
    await probe.hear(PromoClaimed, redemption_id)
    for saga in (redemption_id, unknown):
        for answer in _answers("promo_service", "fan", saga, stranger):
            await probe.send(answer)
    await probe.fence("promo_service")
    found = "SELECT redemption_id, state FROM redemptions WHERE redemption_id IN (:one, :other)"
    assert await rows(site, "promo_service", found, one=redemption_id, other=unknown) == [(redemption_id, "claimed")]
    of = {"account_id": "fan", "operation_id": redemption_id, "asked_by": "promo"}
    await probe.send(CoinsMultiplied.model_validate({**of, "factor": 2, "added": 9}))
    assert (await probe.hear(PromoRedeemed, redemption_id))["added"] == 9
    assert not probe.parked("promo_service.dead")
