"""`item.show` and `promo.show`: what is there, and who has or wants it, as the services answer over the broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

import holdfast.delivery.service
from client.client import Client
from contracts.commands import PlaceOrder, PutItem, PutPromo, RedeemPromo
from contracts.events import (
    CoinsCaptured,
    CoinsRefused,
    OrderCompleted,
    OrderConfirmed,
    OrderWaiting,
    PromoClaimed,
    PromoWaiting,
)
from contracts.queries import ItemView, PromoView
from contracts.roles import Bonus
from holdfast.entities.words import PendingView
from local.site import Site
from tests.service.facts import reserved
from tests.service.probe import Probe
from tests.service.sites import running, until, value


@pytest.fixture
async def operator(site: Site) -> AsyncIterator[Client]:
    """Who may ask for codes, too."""
    async with Client(site.client_env()["HOLDFAST_OPERATOR_AMQP_URL"]) as client:
        yield client


async def _buy(probe: Probe, item: str, quantity: int, deadline_s: float = 600.0) -> UUID:
    order_id = uuid4()
    place = PlaceOrder(order_id=order_id, account_id="buyer", item=item, quantity=quantity, deadline_s=deadline_s)
    await probe.send(place)
    await probe.send(reserved("buyer", order_id, 5 * quantity))
    return order_id


async def _item(operator: Client, item: str) -> ItemView:
    view = await operator.ask.item(item)
    assert view is not None
    return view


async def _promo(operator: Client, code: str) -> PromoView:
    view = await operator.ask.promo(code)
    assert view is not None
    return view


def _stand(pending: tuple[PendingView, ...]) -> list[tuple[UUID, str, tuple[UUID, ...]]]:
    return [(each.operation_id, f"{each.kind} {each.size} {each.state}", each.waits_for) for each in pending]


@pytest.mark.usefixtures("orders")
async def test_an_item_shows_who_has_and_who_wants_its_pieces(probe: Probe, operator: Client) -> None:
    item = f"item-{uuid4()}"
    await probe.send(PutItem(item=item, price=5, stock=3))
    first = await _buy(probe, item, 2)
    await probe.hear(OrderConfirmed, first)
    second = await _buy(probe, item, 2)
    waiting = await probe.hear(OrderWaiting, second)
    assert (waiting["position"], waiting["waits_for"]) == (1, [str(first)])
    view = await _item(operator, item)
    assert (view.price, view.stock, view.possible, view.scarce, view.pending_count) == (5, 1, 3, "wait", 2)
    assert _stand(view.pending) == [(first, "take 2 reserved", ()), (second, "take 2 waiting", (first,))]
    (listed,) = [each for each in await operator.ask.catalog() if each.item == item]
    assert listed == view.model_copy(update={"pending": (), "now": listed.now})
    assert listed.now > view.now

    await probe.send(CoinsCaptured(account_id="buyer", operation_id=first, asked_by="order", amount=10))
    await probe.hear(OrderCompleted, first)
    view = await _item(operator, item)
    assert (view.stock, view.possible, view.pending) == (1, 1, ())


@pytest.mark.usefixtures("orders", "promos")
async def test_what_nobody_has_put_is_unknown(operator: Client) -> None:
    assert await operator.ask.item(f"item-{uuid4()}") is None
    assert await operator.ask.promo(f"code-{uuid4()}") is None


async def test_a_wait_that_is_over_is_shown_as_refused_although_nobody_has_swept(
    site: Site, probe: Probe, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdfast.delivery.service, "CLOCK_S", 3600.0)
    item, passed = f"item-{uuid4()}", "SELECT deadline < clock_timestamp() FROM orders WHERE order_id = :id"
    async with running(site, "order_service"):
        await probe.send(PutItem(item=item, price=5, stock=1))
        first = await _buy(probe, item, 1)
        await probe.hear(OrderConfirmed, first)
        second = await _buy(probe, item, 1, deadline_s=1.0)
        await probe.hear(OrderWaiting, second)
        await until(lambda: value(site, "order_service", passed, id=second), "the wait is over")
        pending = (await _item(operator, item)).pending
    assert _stand(pending) == [(first, "take 1 reserved", ()), (second, "take 1 refused", ())]


@pytest.mark.usefixtures("promos")
async def test_a_code_shows_an_operator_who_has_and_who_wants_its_uses(probe: Probe, operator: Client) -> None:
    code, first, second, third = f"code-{uuid4()}", uuid4(), uuid4(), uuid4()
    await probe.send(PutPromo(code=code, effect=Bonus(amount=5), uses_max=1))
    await probe.send(RedeemPromo(redemption_id=first, account_id="fan", code=code))
    await probe.hear(PromoClaimed, first)
    for each in (second, third):
        await probe.send(RedeemPromo(redemption_id=each, account_id=f"other-{each}", code=code))
        await probe.hear(PromoWaiting, each)
    view = await _promo(operator, code)
    assert (view.uses, view.uses_max, view.pending_count) == (1, 1, 3)
    assert _stand(view.pending) == [
        (first, "claim 1 reserved", ()),
        (second, "claim 1 waiting", (first,)),
        (third, "claim 1 waiting", (first, second)),
    ]
    of = {"account_id": "fan", "operation_id": first, "asked_by": "promo"}
    await probe.send(CoinsRefused.model_validate({**of, "kind": "bonus", "reason": "balance_limit"}))
    await probe.hear(PromoClaimed, second)
    assert _stand((await _promo(operator, code)).pending)[-2:] == [
        (second, "claim 1 reserved", ()),
        (third, "claim 1 waiting", (second,)),
    ]
