"""Who comes second to the last piece or the last use waits while the first may give it back, and no longer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from client.progress import order_progress
from client.sending import Sent
from client.waiting import until
from contracts.commands import PlaceOrder
from contracts.events import (
    CoinsReleased,
    FulfilmentRequested,
    OrderCompleted,
    OrderFailed,
    OrderWaiting,
    PromoWaiting,
)
from contracts.queries import ItemView
from local.service import Service
from tests.choreography.conftest import News, World

FIRST_S = 20.0
"""How long the first order has; two services are stopped and started before that is over."""


async def test_the_second_buyer_of_the_last_piece_waits_and_is_refused_when_the_first_has_paid(
    world: World, news: News
) -> None:
    """Both reservations are told in one message, so that both orders want the piece at the same moment."""
    item, first, second = await two_orders(world)
    await world.client.place_orders([first, second])
    assert (await news.of(OrderWaiting, second.order_id)).waits_for == (first.order_id,)
    assert (await world.client.wait_for_order(first.order_id)).state == "completed"
    assert (await world.client.wait_for_order(second.order_id)).reason == "out_of_stock"
    assert (await world.coins(first.account_id), await world.coins(second.account_id)) == (30, 50)
    view = await world.of_item(item)
    assert (view.stock, view.possible, view.pending) == (0, 0, ())


async def test_the_second_buyer_of_the_last_piece_gets_it_when_the_first_cannot_pay(
    world: World, services: dict[str, Service]
) -> None:
    """The first has its piece and its coins, and its reservation expires before it is captured."""
    users, orders = services["user_service"], services["order_service"]
    item, first, second = await two_orders(world, FIRST_S)
    users.stop()
    await world.client.place_orders([first, second])
    for order in (first, second):
        await world.order(order.order_id, "placed")
    orders.stop()
    users.start()
    for order in (first, second):
        await world.standing(order.account_id, order.order_id, "reserved")
    users.stop()
    orders.start()
    waiting = await until(
        lambda: world.of_item(item), lambda seen: waits_for(seen, second.order_id) is not None, 20, "the second waits"
    )
    assert waits_for(waiting, second.order_id) == (first.order_id,)
    assert (waiting.stock, waiting.possible) == (0, 1)
    # Placed after the first reservation was made, and as short: when this one has failed, that one has expired.
    clock = await world.client.place_order(f"a-{uuid4().hex}", item, deadline_s=FIRST_S)
    assert (await world.client.wait_for_order(clock.id, 60)).reason == "deadline_passed"
    users.start()
    assert (await world.client.wait_for_order(first.order_id)).reason == "reservation_expired"
    assert (await world.client.wait_for_order(second.order_id)).state == "completed"
    assert (await world.coins(first.account_id), await world.coins(second.account_id)) == (50, 30)
    assert (await world.of_item(item)).stock == 0


@pytest.mark.parametrize("end", ["rejected", "cancelled", "late", "completed"])
async def test_the_second_buyer_of_the_last_piece_waits_while_the_first_may_not_be_fulfilled(
    world: World, news: News, end: str
) -> None:
    """It is asked for elsewhere only when it is surely the second one's."""
    item, buyer, rival = await world.goods(20, stock=1, external=True), await world.account(50), await world.account(50)
    first = await world.client.place_order(buyer, item, deadline_s=5.0 if end == "late" else None)
    await news.of(FulfilmentRequested, first.id)
    second = await world.client.place_order(rival, item)
    waiting = await news.of(OrderWaiting, second.id)
    assert (waiting.position, waiting.waits_for) == (1, (first.id,))
    view, words = await order_progress(world.client.ask, second.id, 0.0)
    assert view
    assert waiting.deadline == view.deadline
    if end == "late":
        assert (await world.client.wait_for_order(first.id)).reason in ("deadline_passed", "reservation_expired")
    else:
        assert re.fullmatch(f"take 1 waits for take 1 {str(first.id)[:8]}, at most [0-9]+ s", words or "")
        assert not news.heard(FulfilmentRequested, second.id)
        await END[end](world, buyer, first.id)
        assert (await world.client.wait_for_order(first.id)).state == {"rejected": "failed"}.get(end, end)
    if end == "completed":
        assert (await world.client.wait_for_order(second.id)).reason == "out_of_stock"
        assert not news.heard(FulfilmentRequested, second.id)
    else:
        await news.of(FulfilmentRequested, second.id)
        await world.operator.accept_fulfilment(second.id)
        assert (await world.client.wait_for_order(second.id)).state == "completed"
    assert sorted([await world.coins(buyer), await world.coins(rival)]) == [30, 50]
    shown = await world.of_item(item)
    assert (shown.stock, shown.possible, shown.pending) == (0, 0, ())


async def test_who_waits_for_a_piece_waits_no_longer_than_its_own_deadline(world: World, news: News) -> None:
    item, buyer, rival = await world.goods(20, stock=1, external=True), await world.account(50), await world.account(50)
    first = await world.client.place_order(buyer, item)
    await news.of(FulfilmentRequested, first.id)
    second = await world.client.place_order(rival, item, deadline_s=1.5)
    await news.of(OrderWaiting, second.id)
    await world.operator.accept_fulfilment(second.id)
    ended = await world.client.wait_for_order(second.id)
    assert (ended.state, ended.reason in ("deadline_passed", "reservation_expired")) == ("failed", True)
    await world.operator.accept_fulfilment(first.id)
    assert (await world.client.wait_for_order(first.id)).state == "completed"
    assert (await world.coins(buyer), await world.coins(rival)) == (30, 50)
    assert not news.heard(FulfilmentRequested, second.id)


async def test_who_comes_second_to_an_item_that_refuses_does_not_wait(world: World, news: News) -> None:
    _, first, second = await two_orders(world, scarce=True)
    await world.client.place_orders([first, second])
    assert (await news.of(OrderFailed, second.order_id)).reason == "out_of_stock"
    await news.of(CoinsReleased, second.order_id)
    await news.of(OrderCompleted, first.order_id)
    assert not news.heard(OrderWaiting, second.order_id)


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_second_redemption_gets_the_use_only_if_the_first_is_withdrawn(
    world: World, news: News, accepted: bool
) -> None:
    first, second = await world.account(50), await world.account(50)
    item, code = await world.goods(20), await world.code(uses_max=1)
    order = await world.client.place_order(first, item)
    await world.standing(first, order.id, "reserved")
    withdrawn = await world.client.redeem_promo(first, code, wait_s=None if accepted else 1.0)
    await world.standing(first, withdrawn.id, "accepted" if accepted else "waiting")
    redemption = await world.client.redeem_promo(second, code)
    assert (await news.of(PromoWaiting, redemption.id)).waits_for == (withdrawn.id,)
    if accepted:
        await world.operator.reject_fulfilment(order.id)
    ended = await world.client.wait_for_redemption(withdrawn.id)
    assert (ended.state, ended.reason) == (("redeemed", None) if accepted else ("refused", "wait_deadline_passed"))
    then = await world.client.wait_for_redemption(redemption.id)
    assert (then.state, then.reason) == (("refused", "code_not_accepted") if accepted else ("redeemed", None))
    if not accepted:
        await world.operator.reject_fulfilment(order.id)
    assert (await world.coins(first), await world.coins(second)) == ((100, 50) if accepted else (50, 100))


async def test_an_account_that_redeems_twice_waits_for_its_own_first(world: World, news: News) -> None:
    account, item, code = await world.account(50), await world.goods(20), await world.code()
    order = await world.client.place_order(account, item)
    await world.standing(account, order.id, "reserved")
    first = await world.client.redeem_promo(account, code, wait_s=1.0)
    second = await world.client.redeem_promo(account, code)
    assert (await news.of(PromoWaiting, second.id)).waits_for == (first.id,)
    assert (await world.client.wait_for_redemption(first.id)).reason == "wait_deadline_passed"
    await world.operator.reject_fulfilment(order.id)
    assert (await world.client.wait_for_redemption(second.id)).added == 50
    third = await world.client.redeem_promo(account, code)
    assert (await world.client.wait_for_redemption(third.id)).reason == "already_redeemed"
    assert await world.coins(account) == 100


async def two_orders(
    world: World, first_s: float | None = None, scarce: bool = False
) -> tuple[str, PlaceOrder, PlaceOrder]:
    """Two orders for the last piece of a new item, not sent yet."""
    item = await world.goods(20, stock=1, scarce="refuse" if scarce else "wait")
    accounts = await world.account(50), await world.account(50)
    first, second = (PlaceOrder(order_id=uuid4(), account_id=each, item=item) for each in accounts)
    return item, first.model_copy(update={"deadline_s": first_s}), second


END: dict[str, Callable[[World, str, UUID], Awaitable[Sent]]] = {
    "rejected": lambda world, _, order_id: world.operator.reject_fulfilment(order_id),
    "cancelled": lambda world, account, order_id: world.client.cancel_order(account, order_id),
    "completed": lambda world, _, order_id: world.operator.accept_fulfilment(order_id),
}
"""How an order ends for which somebody is asked."""


def waits_for(item: ItemView, order_id: UUID) -> tuple[UUID, ...] | None:
    """What the order waits for among the orders of the item; None if it does not wait."""
    return next(
        (each.waits_for for each in item.pending if (each.operation_id, each.state) == (order_id, "waiting")), None
    )
