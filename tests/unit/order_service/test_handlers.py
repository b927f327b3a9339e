"""What the order service makes of messages beyond the rule: what it keeps, its limits, and how it announces."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from contracts.commands import PlaceOrder, PutItem
from contracts.events import OrderWaiting
from holdfast.delivery.message import Announcement, Message
from holdfast.delivery.words import Fact
from holdfast.entities.tables import cause_of, state_of
from holdfast.entities.words import WAITS_FOR_MAX
from order_service.handlers import Limits, OrderHandlers, touched
from order_service.order import AnswerOverdue, Item, OrderDeadlinePassed
from tests.domain.test_orders_share_stock import NOW, A, B, C, D, Shop, cancel, captured, contended, expired, reserved

ENDS: dict[str, tuple[UUID, Sequence[Fact], tuple[str, str | None, str]]] = {
    "captured": (A, [captured(A)], ("captured", None, "coins.captured")),
    "released": (A, [expired(A)], ("released", "reservation_expired", "coins.expired")),
    "withdrawn": (B, [cancel(B)], ("refused", "cancelled", "order.cancel")),
    "refused": (B, [captured(A)], ("refused", "out_of_stock", "coins.reserved")),
}


def test_what_is_loaded_for_a_batch_is_what_its_messages_are_about() -> None:
    facts = PlaceOrder(order_id=A, account_id="a", item="sword"), captured(B), PutItem(item="tea", price=1, stock=1)
    messages = [Message(UUID(int=n), UUID(int=100 + n), fact) for n, fact in enumerate(facts)]
    wanted = touched(messages)
    assert (wanted.placed, wanted.others, wanted.puts) == ({(A, "sword")}, {B}, {("tea", UUID(int=102))})


@pytest.mark.parametrize(("order_id", "facts", "kept"), ENDS.values(), ids=ENDS.keys())
def test_it_is_kept_how_pieces_were_claimed_and_which_message_ended_that(
    order_id: UUID, facts: Sequence[Fact], kept: tuple[str, str | None, str]
) -> None:
    shop = contended()
    for fact in facts:
        shop.say(fact)
    claim = shop.item.find(order_id)
    assert claim is not None
    assert (state_of(claim), claim.reason, cause_of(claim)) == kept
    assert (claim.note.asked_by, claim.note.trace) == ("order", f"trace of {order_id}")


def test_it_is_kept_that_a_put_took_the_pieces_away_and_who_put_them() -> None:
    shop = Shop(stock=4)
    shop.buy(A, 2)
    shop.buy(B, 3)
    shop.put(0, key=500)
    taken = shop.item.find(B)
    put = shop.item.find(UUID(int=500))
    assert taken is not None
    assert put is not None
    assert (taken.reason, cause_of(taken)) == ("out_of_stock", "catalog.put")
    assert (put.note.asked_by, cause_of(put), put.note.trace) == ("commands", "catalog.put", "trace of sword")
    assert shop.state.stock.opened == {"sword"}


def test_an_order_that_a_scarce_item_refused_was_withdrawn_by_its_own_message() -> None:
    shop = Shop(stock=1, scarce="refuse")
    shop.buy(A)
    shop.buy(B)
    claim = shop.item.find(B)
    assert claim is not None
    assert (state_of(claim), claim.reason, cause_of(claim)) == ("refused", "out_of_stock", "coins.reserved")


def test_what_a_late_order_gives_back_does_not_hold_up_those_that_were_answered_with_it() -> None:
    shop = Shop(stock=4)
    shop.buy(A, 2)
    for order_id, quantity, deadline_s in ((B, 4, 10.0), (C, 1, 20.0), (D, 1, 60.0)):
        assert shop.buy(order_id, quantity, deadline_s) == [f"{'ABCD'[order_id.int - 1]} order.waiting"]
    shop.wait(20)
    assert shop.say(OrderDeadlinePassed(order_id=B)) == [
        "B order.failed deadline_passed",
        "C order.failed deadline_passed",
        "D order.confirmed",
    ]


def test_an_order_beyond_the_limit_is_kept_as_refused() -> None:
    shop = Shop(stock=1, waiting=0)
    assert shop.buy(A) == ["A order.confirmed"]
    assert shop.buy(B) == ["B order.failed pending_limit"]
    claim = shop.item.find(B)
    assert claim is not None
    assert claim.reason == "pending_limit"


def test_an_item_is_kept_as_it_was_put() -> None:
    shop = Shop(stock=1, price=7, fulfilment="external", scarce="refuse")
    assert shop.state.items == {"sword": Item("sword", 7, "external", True, "refuse")}


def test_no_more_are_told_to_be_waited_for_than_may_be() -> None:
    shop = Shop(stock=WAITS_FOR_MAX + 1)
    orders = [UUID(int=number) for number in range(1, WAITS_FOR_MAX + 3)]
    announced: Sequence[Announcement] = ()
    for order_id in orders:
        for fact in (PlaceOrder(order_id=order_id, account_id="a", item="sword"), reserved(order_id)):
            announced = shop.handlers.handle(shop.state, Message(order_id, order_id, fact), NOW)
    (waiting,) = (each.fact for each in announced)
    assert isinstance(waiting, OrderWaiting)
    assert waiting.waits_for == tuple(orders[:WAITS_FOR_MAX])


def test_a_question_is_asked_again_with_its_number_and_only_an_end_says_when_it_began() -> None:
    shop = Shop(stock=1)
    handlers = OrderHandlers(Limits(deadline_s=40.0, ask_again_s=7.0))

    def told(fact: Fact, at_s: float) -> list[Announcement]:
        message = Message(A, A, fact, "trace")
        return [*handlers.handle(shop.state, message, NOW + timedelta(seconds=at_s))]

    (placed,) = told(PlaceOrder(order_id=A, account_id="a", item="sword"), 0.0)
    assert (placed.trace, placed.began_at, placed.again) == ("trace", None, 0)
    assert shop.order(A).deadline == NOW + timedelta(seconds=40)
    overdue = AnswerOverdue(order_id=A)
    assert told(overdue, 6.9) == []
    assert [(each.began_at, each.again) for each in told(overdue, 7.0)] == [(None, 1)]
    (end,) = told(cancel(A), 30.0)
    assert (end.trace, end.began_at, end.again) == ("trace", NOW, 0)


def test_what_is_not_known_leaves_nothing() -> None:
    shop = Shop(stock=1)
    assert shop.say(AnswerOverdue(order_id=A)) == []
    assert shop.state.orders == {}
