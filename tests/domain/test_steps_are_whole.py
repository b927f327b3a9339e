"""Each move of an order, compared whole: everything that is kept, and everything that is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contracts.base import COINS_MAX
from contracts.commands import CancelOrder, PlaceOrder
from contracts.events import (
    CancelRefused,
    FulfilmentRequested,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderFailed,
    OrderPlaced,
)
from order_service import order as orders
from order_service.order import Contradiction, Item, Order
from tests.domain import test_order
from tests.domain.test_order import EARLIER, EVENTS, ID, NOW

SWORD = Item("sword", 10, "external", counted=False)
PLACE = PlaceOrder(order_id=ID, account_id="a", item="sword", quantity=2, deadline_s=60, after=(EARLIER,))
PLACED = Order(
    ID, "a", "sword", 2, 20, "external", "placed", None, NOW + timedelta(seconds=60), NOW, trace="t", after=(EARLIER,)
)
ASKED = replace(PLACED, ask_again_at=NOW + timedelta(seconds=30))
TOLD: dict[str, Any] = {"order_id": ID, "account_id": "a"}


def at(order: Order, item: Item | None = SWORD) -> orders.Situation:
    return orders.Situation(order, item, NOW)


@pytest.mark.parametrize("known", [Order(ID, trace="t"), Order(ID, "b", state="cancelled", reason="x", trace="t")])
def test_an_order_is_placed_where_nothing_is_known_but_anothers_tombstone(known: Order) -> None:
    asked = OrderPlaced(order_id=ID, account_id="a", amount=20, hold_s=60, after=(EARLIER,))
    assert orders.decide(at(known), PLACE) == orders.Step(ASKED, (asked,))


def test_an_order_that_names_no_deadline_has_the_services() -> None:
    patient = replace(at(Order(ID)), deadline_s=7.0)
    step = orders.decide(patient, PLACE.model_copy(update={"deadline_s": None}))
    assert step.order.deadline == NOW + timedelta(seconds=7)


def test_an_order_may_cost_all_the_coins_there_can_be() -> None:
    step = orders.decide(at(Order(ID), Item("sword", COINS_MAX // 2, "instant", counted=True)), PLACE)
    assert step.order.state == "placed"
    exactly, dearest = PLACE.model_copy(update={"quantity": 1}), Item("sword", COINS_MAX, "instant", counted=True)
    assert orders.decide(at(Order(ID), dearest), exactly).order.amount == COINS_MAX


def test_goods_in_stock_are_taken_and_then_they_are_sold() -> None:
    instant = replace(ASKED, fulfilment="instant", counted=True)
    reserved = replace(instant, state="reserved", ask_again_at=None, after=())
    taken = orders.Take(2, NOW + timedelta(seconds=60))
    assert orders.decide(at(instant), EVENTS["reserved"]) == orders.Step(reserved, (), taken)
    confirmed = replace(instant, state="confirmed", deadline=None, after=(), taken=True)
    assert orders.decide(at(reserved), EVENTS["taken"]) == orders.Step(confirmed, (OrderConfirmed(**TOLD),))
    completed = replace(confirmed, state="completed", ask_again_at=None)
    sold = orders.Step(completed, (OrderCompleted(**TOLD),), orders.Sell())
    assert orders.decide(at(confirmed), EVENTS["captured"]) == sold


@pytest.mark.parametrize(
    ("event", "state", "reason"), [("expired", "failed", "reservation_expired"), ("cancel", "cancelled", None)]
)
def test_an_order_that_gives_up_says_the_stock_why(event: str, state: Any, reason: str | None) -> None:
    reserved = replace(ASKED, fulfilment="instant", counted=True, state="reserved", ask_again_at=None, after=())
    step = orders.decide(at(reserved), EVENTS[event])
    assert step.order == replace(reserved, state=state, reason=reason, deadline=None)
    assert step.wish == orders.GiveBack(reason or state)


def test_an_order_without_goods_fails_for_their_reason_and_wants_nothing_of_the_stock() -> None:
    reserved = replace(ASKED, fulfilment="instant", counted=True, state="reserved", ask_again_at=None, after=())
    failed = replace(reserved, state="failed", reason="out_of_stock", deadline=None)
    told = OrderFailed(**TOLD, reason="out_of_stock")
    assert orders.decide(at(reserved), EVENTS["no goods"]) == orders.Step(failed, (told,))


def test_an_order_that_is_late_gives_back_what_it_is_given() -> None:
    reserved = replace(ASKED, fulfilment="instant", counted=True, state="reserved", ask_again_at=None, after=())
    late = replace(at(reserved), now=NOW + timedelta(seconds=60))
    step = orders.decide(late, EVENTS["taken"])
    assert (step.order.reason, step.wish) == ("deadline_passed", orders.GiveBack("deadline_passed"))


def test_whoever_fulfils_is_asked_and_the_order_is_confirmed_when_they_accept() -> None:
    step = orders.decide(at(ASKED), EVENTS["reserved"])
    reserved = replace(PLACED, state="reserved", after=())
    asked = FulfilmentRequested(**TOLD, item="sword", quantity=2, deadline=NOW + timedelta(seconds=60))
    assert step == orders.Step(reserved, (asked,))
    confirmed = replace(ASKED, state="confirmed", deadline=None, after=())
    assert orders.decide(at(reserved), EVENTS["accepted"]) == orders.Step(confirmed, (OrderConfirmed(**TOLD),))
    completed = replace(confirmed, state="completed", ask_again_at=None)
    assert orders.decide(at(confirmed), EVENTS["captured"]) == orders.Step(completed, (OrderCompleted(**TOLD),))


def test_whoever_fulfils_is_asked_for_counted_pieces_once_they_are_set_aside() -> None:
    reserved = replace(PLACED, state="reserved", after=(), counted=True)
    placed = orders.decide(at(replace(ASKED, counted=True)), EVENTS["reserved"])
    assert placed == orders.Step(reserved, (), orders.Take(2, NOW + timedelta(seconds=60)))
    taken = replace(reserved, taken=True)
    asked = FulfilmentRequested(**TOLD, item="sword", quantity=2, deadline=NOW + timedelta(seconds=60))
    assert orders.decide(at(reserved), EVENTS["taken"]) == orders.Step(taken, (asked,))
    rejected = replace(taken, state="failed", reason="broken", deadline=None)
    told = OrderFailed(**TOLD, reason="broken")
    assert orders.decide(at(taken), EVENTS["rejected"]) == orders.Step(rejected, (told,), orders.GiveBack("broken"))
    confirmed = replace(taken, state="confirmed", deadline=None, ask_again_at=NOW + timedelta(seconds=30))
    assert orders.decide(at(taken), EVENTS["accepted"]) == orders.Step(confirmed, (OrderConfirmed(**TOLD),))
    completed = replace(confirmed, state="completed", ask_again_at=None)
    sold = orders.Step(completed, (OrderCompleted(**TOLD),), orders.Sell())
    assert orders.decide(at(confirmed), EVENTS["captured"]) == sold


def test_an_order_that_ends_without_effect_has_no_deadline_and_asks_nothing() -> None:
    over = replace(PLACED, deadline=None, after=())
    cancelled = orders.Step(replace(over, state="cancelled"), (OrderCancelled(**TOLD),))
    assert orders.decide(at(ASKED), EVENTS["cancel"]) == cancelled
    failed = replace(over, state="failed", reason="insufficient_coins")
    told = OrderFailed(**TOLD, reason="insufficient_coins")
    assert orders.decide(at(ASKED), EVENTS["refused"]) == orders.Step(failed, (told,))


def test_the_tombstone_of_an_order_says_whose_and_since_when() -> None:
    tombstone = Order(ID, "a", state="cancelled", placed_at=NOW, trace="t")
    step = orders.decide(at(Order(ID, trace="t"), None), CancelOrder(order_id=ID, account_id="a"))
    assert step == orders.Step(tombstone, (OrderCancelled(**TOLD),))


@pytest.mark.parametrize("state", ["confirmed", "completed", "failed"])
def test_a_cancel_that_comes_too_late_is_told_what_became_of_the_order(state: str) -> None:
    before = test_order.situation(state, "external")
    told = CancelRefused(**TOLD, reason=state)
    assert orders.decide(before, EVENTS["cancel"]) == orders.Step(before.order, (told,))


@pytest.mark.parametrize("state", ["placed", "reserved"])
@pytest.mark.parametrize("event", ["accepted", "rejected"])
def test_nobody_answers_for_goods_that_are_in_stock(state: str, event: str) -> None:
    with pytest.raises(Contradiction, match=f"{ID} is fulfilled from stock, .* {EVENTS[event].type} "):
        orders.decide(test_order.situation(state, "instant"), EVENTS[event])


def test_a_failure_is_said_again_though_nobody_noted_why() -> None:
    unknown = replace(ASKED, state="failed", reason=None)
    assert orders.decide(at(unknown), EVENTS["accepted"]).facts == (OrderFailed(**TOLD, reason="failed"),)
