"""What becomes of orders that want the same pieces: the handler with its stock in memory, message by message."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.commands import CancelOrder, FulfilmentAccepted, FulfilmentRejected, PlaceOrder, PutItem
from contracts.events import (
    CoinsCaptured,
    CoinsExpired,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
    FulfilmentRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderFailed,
    OrderWaiting,
)
from holdfast.delivery.domain import Refused
from holdfast.delivery.message import Message
from holdfast.delivery.words import Fact
from holdfast.entities.entities import Entities
from holdfast.pending import Entity
from order_service.handlers import Limits, OrderHandlers
from order_service.order import AnswerOverdue, Order, OrderDeadlinePassed
from order_service.stock import free
from order_service.store import Orders

NOW = datetime(2026, 1, 1, tzinfo=UTC)
A, B, C, D = ALL = [UUID(int=number) for number in range(1, 5)]


class Shop:
    """The order service in memory, with one item. `facts`: what the last message made it announce."""

    def __init__(self, stock: int | None, waiting: int = 1000, **put: Any) -> None:
        self.handlers = OrderHandlers(Limits(deadline_s=60.0, waiting=waiting))
        self.state = Orders({}, {}, Entities({"sword": Entity(0)}, set()))
        self.now, self.keys = NOW, 1000
        self.facts: list[Fact] = []
        self.put(stock, **put)

    def say(self, fact: Fact, key: int | None = None) -> list[str]:
        """Handle one message; what is announced by it, each as `saga type reason`."""
        self.keys += 1
        message = Message(UUID(int=key or self.keys), UUID(int=key or self.keys), fact, f"trace of {fact.saga}")
        announced = self.handlers.handle(self.state, message, self.now)
        for each in announced:
            assert each.trace == self.state.orders[UUID(each.fact.saga)].trace
        self.facts = [each.fact for each in announced]
        return [_words(each) for each in self.facts]

    def put(self, stock: int | None, key: int | None = None, price: int = 10, **put: Any) -> list[str]:
        return self.say(PutItem(item="sword", price=price, stock=stock, **put), key)

    def buy(self, order_id: UUID, quantity: int = 1, deadline_s: float = 60.0) -> list[str]:
        """Place an order and reserve its coins."""
        self.say(PlaceOrder(order_id=order_id, account_id="a", item="sword", quantity=quantity, deadline_s=deadline_s))
        return self.say(reserved(order_id))

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def order(self, order_id: UUID) -> Order:
        return self.state.orders[order_id]

    @property
    def item(self) -> Entity[int]:
        return self.state.stock.at["sword"]

    @property
    def free(self) -> int:
        return free(self.item)


def _words(fact: Fact) -> str:
    reason = getattr(fact, "reason", None)
    return f"{'ABCD'[UUID(fact.saga).int - 1]} {fact.type}" + (f" {reason}" if reason else "")


def reserved(order_id: UUID) -> Fact:
    return CoinsReserved(account_id="a", operation_id=order_id, asked_by="order", amount=10, deadline=NOW)


def captured(order_id: UUID) -> Fact:
    return CoinsCaptured(account_id="a", operation_id=order_id, asked_by="order", amount=10)


def expired(order_id: UUID) -> Fact:
    return CoinsExpired(account_id="a", operation_id=order_id, asked_by="order", amount=10)


def released(order_id: UUID) -> Fact:
    return CoinsReleased(account_id="a", operation_id=order_id, asked_by="order", amount=10)


def refused(order_id: UUID, kind: str = "reserve") -> Fact:
    return CoinsRefused(account_id="a", operation_id=order_id, asked_by="order", kind=kind, reason="insufficient_coins")


def cancel(order_id: UUID) -> Fact:
    return CancelOrder(order_id=order_id, account_id="a")


def accepted(order_id: UUID) -> Fact:
    return FulfilmentAccepted(order_id=order_id)


def rejected(order_id: UUID) -> Fact:
    return FulfilmentRejected(order_id=order_id, reason="broken")


def contended() -> Shop:
    """A has the last piece, B waits for it."""
    shop = Shop(stock=1)
    assert shop.buy(A) == ["A order.confirmed"]
    assert shop.buy(B) == ["B order.waiting"]
    return shop


def test_the_last_piece_is_sold_once() -> None:
    shop = Shop(stock=1)
    assert shop.buy(A) == ["A order.confirmed"]
    assert shop.free == 0
    assert shop.say(captured(A)) == ["A order.completed"]
    assert (shop.item.state, len(shop.item)) == (0, 0)
    assert shop.buy(B) == ["B order.failed out_of_stock"]


def test_who_waits_is_told_for_whom_and_until_when() -> None:
    shop = contended()
    waiting = OrderWaiting(
        order_id=B, account_id="a", item="sword", position=1, waits_for=(A,), deadline=NOW + timedelta(seconds=60)
    )
    assert shop.facts == [waiting]
    assert shop.order(B).state == "reserved"
    assert shop.say(reserved(B)) == []
    assert shop.say(AnswerOverdue(order_id=B)) == []


@pytest.mark.parametrize("failure", [expired, released, refused])
def test_who_waits_gets_the_piece_that_is_given_back(failure: Any) -> None:
    shop = contended()
    told = shop.say(failure(A))
    assert (shop.order(A).state, told[1:]) == ("failed", ["B order.confirmed"])
    assert shop.order(B).ask_again_at == NOW + timedelta(seconds=30)
    assert shop.say(captured(B)) == ["B order.completed"]
    assert shop.item.state == 0


def test_who_waits_is_refused_when_the_piece_is_sold() -> None:
    shop = contended()
    assert shop.say(captured(A)) == ["A order.completed", "B order.failed out_of_stock"]
    assert (shop.item.state, len(shop.item)) == (0, 0)


def test_two_wait_in_their_order() -> None:
    shop = contended()
    assert shop.buy(C) == ["C order.waiting"]
    assert [each.waits_for for each in shop.facts if isinstance(each, OrderWaiting)] == [(A, B)]
    assert shop.say(expired(A)) == ["A order.failed reservation_expired", "B order.confirmed"]
    assert shop.say(captured(B)) == ["B order.completed", "C order.failed out_of_stock"]


def test_one_answer_decides_all_that_it_makes_certain() -> None:
    shop = Shop(stock=4)
    shop.buy(A, 4)
    assert [shop.buy(B, 3), shop.buy(C, 2), shop.buy(D, 1)] == [
        ["B order.waiting"],
        ["C order.waiting"],
        ["D order.waiting"],
    ]
    assert shop.say(expired(A)) == [
        "A order.failed reservation_expired",
        "B order.confirmed",
        "D order.confirmed",
    ]
    assert shop.say(expired(B)) == ["B order.failed reservation_expired", "C order.confirmed"]


@pytest.mark.parametrize("end", [cancel, expired, released, refused])
def test_who_gives_up_waiting_leaves_the_piece_to_the_next(end: Any) -> None:
    shop = contended()
    shop.buy(C)
    assert len(shop.say(end(B))) == 1
    assert shop.order(B).state == ("cancelled" if end is cancel else "failed")
    assert shop.say(expired(A)) == ["A order.failed reservation_expired", "C order.confirmed"]


def test_who_waits_fails_at_its_deadline() -> None:
    shop = contended()
    shop.wait(60)
    assert shop.say(OrderDeadlinePassed(order_id=B)) == ["B order.failed deadline_passed"]
    assert shop.say(captured(A)) == ["A order.completed"]
    assert shop.item.state == 0


def test_a_deadline_has_passed_whoever_notices_it() -> None:
    shop = contended()
    shop.wait(60)
    assert shop.say(expired(A)) == ["A order.failed reservation_expired", "B order.failed deadline_passed"]
    assert (shop.free, len(shop.item)) == (1, 0)


def test_a_cancel_releases_what_a_deadline_of_another_has_just_given() -> None:
    shop = Shop(stock=3)
    shop.buy(A, 2)
    assert shop.buy(B, 3, deadline_s=10) == ["B order.waiting"]
    assert shop.buy(C, 1) == ["C order.waiting"]
    shop.wait(10)
    assert shop.say(cancel(C)) == ["C order.cancelled", "B order.failed deadline_passed"]
    assert shop.free == 1
    assert shop.say(captured(A)) == ["A order.completed"]
    assert (shop.item.state, len(shop.item)) == (1, 0)


def test_an_order_that_is_late_gives_back_what_it_is_only_now_given() -> None:
    shop = Shop(stock=3)
    shop.buy(A, 2)
    shop.buy(B, 3, deadline_s=10)
    shop.buy(C, 1, deadline_s=20)
    shop.wait(20)
    assert shop.buy(D) == ["B order.failed deadline_passed", "C order.failed deadline_passed", "D order.confirmed"]
    assert shop.free == 0
    assert [each.id for each in shop.item if each.status != "settled"] == [A, D]


def test_a_scarce_item_may_refuse_whoever_would_have_to_wait() -> None:
    shop = Shop(stock=1, scarce="refuse")
    shop.buy(A)
    assert shop.buy(B) == ["B order.failed out_of_stock"]
    assert shop.say(expired(A)) == ["A order.failed reservation_expired"]
    assert shop.buy(C) == ["C order.confirmed"]


def test_no_more_orders_wait_for_an_item_than_may() -> None:
    shop = Shop(stock=1, waiting=1)
    assert shop.buy(A) == ["A order.confirmed"]
    assert shop.buy(B) == ["B order.waiting"]
    assert shop.buy(C) == ["C order.failed pending_limit"]
    assert shop.say(expired(A)) == ["A order.failed reservation_expired", "B order.confirmed"]
    assert shop.buy(D) == ["D order.waiting"]


def test_pieces_that_come_in_serve_those_behind_them() -> None:
    """Who waits has asked before they came: the answer is that of one program, in order of arrival."""
    shop = contended()
    assert shop.put(1) == []
    assert shop.free == 1
    assert shop.buy(C) == ["C order.confirmed"]
    assert shop.say(captured(A)) == ["A order.completed", "B order.failed out_of_stock"]
    assert shop.free == 0


def test_a_put_says_what_no_order_has_and_what_comes_back_is_on_top() -> None:
    shop = Shop(stock=4)
    shop.buy(A, 2)
    shop.put(5)
    assert shop.free == 5
    shop.say(expired(A))
    assert shop.free == 7


@pytest.mark.parametrize(
    ("ends", "left"), [([captured(A)], 5), ([expired(A)], 5), ([expired(A), expired(B)], 7), ([cancel(B)], 5)]
)
def test_a_put_does_not_count_what_somebody_waits_for(ends: list[Fact], left: int) -> None:
    shop = Shop(stock=3)
    shop.buy(A, 2)
    assert shop.buy(B, 2) == ["B order.waiting"]
    shop.put(5)
    for each in ends:
        shop.say(each)
    assert shop.free == left


def test_who_counts_on_pieces_that_are_taken_away_is_refused() -> None:
    shop = Shop(stock=4)
    shop.buy(A, 2)
    assert [shop.buy(B, 3), shop.buy(C, 3)] == [["B order.waiting"], ["C order.waiting"]]
    assert shop.put(1) == []
    assert shop.put(0) == ["C order.failed out_of_stock", "B order.failed out_of_stock"]
    assert shop.free == 0
    shop.say(expired(A))
    assert shop.free == 2


@pytest.mark.parametrize("stock", [0, 1, 3])
def test_a_put_counts_once(stock: int) -> None:
    shop = Shop(stock=1)
    shop.put(stock, key=500, price=20)
    shop.put(7, key=501, price=30)
    shop.buy(A)
    assert shop.put(stock, key=500, price=20) == []
    assert (shop.free, shop.state.items["sword"].price) == (6, 30)


def test_a_put_may_change_all_that_is_said_of_an_item() -> None:
    shop = Shop(stock=1)
    shop.put(2, price=7, fulfilment="external", scarce="refuse")
    item = shop.state.items["sword"]
    assert (item.price, item.fulfilment, item.counted, item.scarce) == (7, "external", True, "refuse")
    assert shop.buy(A, 2) == ["A fulfilment.requested"]
    assert shop.buy(B) == ["B order.failed out_of_stock"]
    assert shop.free == 0


def test_an_external_item_without_a_number_is_not_counted() -> None:
    shop = Shop(stock=None, fulfilment="external")
    assert shop.buy(A, 5) == ["A fulfilment.requested"]
    assert [shop.say(accepted(A)), shop.say(captured(A))] == [["A order.confirmed"], ["A order.completed"]]
    assert (shop.free, list(shop.item)) == (0, [])


def test_an_instant_item_without_a_number_has_no_pieces() -> None:
    assert Shop(stock=None).buy(A) == ["A order.failed out_of_stock"]


def test_an_item_that_is_not_counted_any_more_keeps_the_pieces_of_orders_that_count_on_them() -> None:
    shop = Shop(stock=2, fulfilment="external")
    assert shop.buy(A) == ["A fulfilment.requested"]
    shop.say(PlaceOrder(order_id=B, account_id="a", item="sword"))
    assert shop.put(None, key=500, fulfilment="external") == []
    assert shop.buy(C, 9) == ["C fulfilment.requested"]
    assert shop.say(reserved(B)) == ["B fulfilment.requested"]
    assert [each.id for each in shop.item if each.status == "reserved"] == [A, B]
    assert shop.put(3, key=501, fulfilment="external") == []
    assert shop.put(None, key=500, fulfilment="external") == []
    assert (shop.free, shop.state.items["sword"].counted) == (3, True)


def two_to_fulfil() -> Shop:
    """Somebody is asked for A's piece, the last one, and B waits for it."""
    shop = Shop(stock=1, fulfilment="external")
    assert shop.buy(A) == ["A fulfilment.requested"]
    assert shop.buy(B) == ["B order.waiting"]
    return shop


@pytest.mark.parametrize("end", [rejected, cancel, expired, released, refused])
def test_who_waits_for_a_piece_to_fulfil_gets_it_when_the_first_ends_without(end: Any) -> None:
    shop = two_to_fulfil()
    assert [each.waits_for for each in shop.facts if isinstance(each, OrderWaiting)] == [(A,)]
    assert shop.say(end(A))[1:] == ["B fulfilment.requested"]
    assert (shop.order(A).state, shop.order(B).state) == ("cancelled" if end is cancel else "failed", "reserved")
    assert shop.say(accepted(B)) == ["B order.confirmed"]
    assert shop.say(captured(B)) == ["B order.completed"]
    assert (shop.item.state, len(shop.item)) == (0, 0)


def test_who_waits_for_a_piece_to_fulfil_gets_it_at_the_firsts_deadline() -> None:
    shop = Shop(stock=1, fulfilment="external")
    shop.buy(A, deadline_s=10)
    shop.buy(B)
    shop.wait(10)
    told = ["A order.failed deadline_passed", "B fulfilment.requested"]
    assert shop.say(OrderDeadlinePassed(order_id=A)) == told
    assert shop.say(accepted(A)) == ["A order.failed deadline_passed"]


def test_who_waits_for_a_piece_to_fulfil_is_refused_when_the_first_completes() -> None:
    shop = two_to_fulfil()
    assert shop.say(accepted(A)) == ["A order.confirmed"]
    assert shop.order(B).state == "reserved"
    assert shop.say(captured(A)) == ["A order.completed", "B order.failed out_of_stock"]
    assert (shop.item.state, len(shop.item)) == (0, 0)


def test_who_is_accepted_while_waiting_is_confirmed_with_the_piece_and_not_before() -> None:
    shop = two_to_fulfil()
    assert shop.say(accepted(B)) == []
    assert (shop.order(B).state, shop.order(B).accepted, shop.free) == ("reserved", True, 0)
    assert shop.say(rejected(A)) == ["A order.failed broken", "B order.confirmed"]


def test_who_is_rejected_while_waiting_leaves_the_piece_to_the_next() -> None:
    shop = two_to_fulfil()
    shop.buy(C)
    assert shop.say(rejected(B)) == ["B order.failed broken"]
    assert shop.say(rejected(A)) == ["A order.failed broken", "C fulfilment.requested"]


def test_the_id_of_a_put_is_no_id_for_an_order() -> None:
    shop = Shop(stock=1)
    shop.put(1, key=D.int)
    assert shop.buy(D) == ["D order.failed id_used"]
    assert shop.free == 1


def test_what_contradicts_changes_nothing() -> None:
    shop = contended()
    before = picture(shop)
    with pytest.raises(Refused, match=r"coins\.captured for order"):
        shop.say(captured(B))
    assert picture(shop) == before
    assert shop.state.stock.error is None


def picture(shop: Shop) -> Any:
    """All that is kept."""
    return (
        dict(shop.state.orders),
        dict(shop.state.items),
        shop.item.state,
        list(shop.item),
        list(shop.state.stock.lines),
    )


STORIES: list[tuple[str, Sequence[Fact]]] = [
    ("instant", [reserved(A), reserved(B), expired(A), captured(B)]),
    ("instant", [reserved(A), reserved(B), captured(A)]),
    ("instant", [reserved(A), reserved(B), cancel(B), released(A)]),
    ("instant", [reserved(A), reserved(B), reserved(C), refused(B), expired(A), expired(C)]),
    ("instant", [cancel(A), reserved(B), OrderDeadlinePassed(order_id=B), captured(B)]),
    ("external", [reserved(A), reserved(B), rejected(A), accepted(B), captured(B)]),
    ("external", [reserved(A), reserved(B), accepted(B), cancel(A), captured(B)]),
    ("external", [accepted(A), reserved(A), reserved(B), captured(A)]),
]


@pytest.mark.parametrize(("fulfilment", "story"), STORIES)
def test_what_is_told_again_has_one_effect(fulfilment: str, story: Sequence[Fact]) -> None:
    places = [PlaceOrder(order_id=each, account_id="a", item="sword") for each in (A, B, C)]
    shop = Shop(stock=1, fulfilment=fulfilment)
    for number, fact in enumerate([*places, *story]):
        shop.say(fact)
        before = picture(shop)
        for earlier in [*places, *story][: number + 1]:
            # An order that has ended says so again.
            assert all(each.split()[1] in ENDS for each in shop.say(earlier))
            assert picture(shop) == before


ENDS = ("order.completed", "order.failed", "order.cancelled", "order.cancel_refused")


class Shelf:
    """The pieces that lie on the shelf, by what was put there and what the orders announce."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces
        self.sizes: dict[UUID, int] = {}
        self._taken: set[UUID] = set()

    def follow(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, FulfilmentRequested | OrderConfirmed) and fact.order_id not in self._taken:
                self._taken.add(fact.order_id)
                self.pieces -= self.sizes[fact.order_id]
            elif isinstance(fact, OrderFailed | OrderCancelled) and fact.order_id in self._taken:
                self._taken.remove(fact.order_id)
                self.pieces += self.sizes[fact.order_id]


def happen(shop: Shop, shelf: Shelf, chance: random.Random) -> None:
    """Anything that can happen next."""
    shop.wait(chance.choice((0, 0, 0, 1, 20)))
    order_id, item = chance.choice(ALL), shop.state.items["sword"]
    state = shop.order(order_id).state if order_id in shop.state.orders else "unknown"
    answers = (accepted, accepted, rejected) if item.fulfilment == "external" else ()
    if chance.random() < 0.15:
        shelf.pieces = chance.choice((0, 1, 2, 4))
        shop.put(shelf.pieces, fulfilment=item.fulfilment, scarce=item.scarce)
    elif state == "unknown":
        shelf.sizes[order_id] = chance.choice((1, 1, 2, 3))
        shop.buy(order_id, shelf.sizes[order_id], chance.choice((10, 60)))
    elif state == "confirmed":
        shop.say(chance.choice((captured, expired, refused))(order_id))
    elif state == "reserved":
        shop.say(chance.choice((cancel, expired, reserved, *answers))(order_id))
    else:
        shop.say(reserved(order_id))


def end(shop: Shop, shelf: Shelf, chance: random.Random) -> None:
    """Deadlines pass, and whoever is confirmed is answered."""
    shop.wait(60)
    for order_id in shop.state.orders:
        shop.say(OrderDeadlinePassed(order_id=order_id))
        shelf.follow(shop.facts)
    for order_id, order in list(shop.state.orders.items()):
        if order.state == "confirmed":
            shop.say(chance.choice((captured, expired))(order_id))
            shelf.follow(shop.facts)


@pytest.mark.parametrize("fulfilment", ["instant", "external"])
@pytest.mark.parametrize("block", range(4))
def test_nothing_is_oversold_and_every_order_ends(block: int, fulfilment: str) -> None:
    """Any messages in any order: the pieces on the shelf are those that the orders' announcements leave there."""
    for seed in range(block * 150, block * 150 + 150):
        chance, shelf = random.Random(seed), Shelf(2)
        shop = Shop(stock=2, waiting=2, scarce=chance.choice(("wait", "wait", "refuse")), fulfilment=fulfilment)
        for _ in range(40):
            happen(shop, shelf, chance)
            shelf.follow(shop.facts)
            assert shop.free == shelf.pieces >= 0, seed
        end(shop, shelf, chance)
        assert {each.state for each in shop.state.orders.values()} <= {"completed", "failed", "cancelled"}, seed
        assert (len(shop.item), shop.item.state) == (0, shelf.pieces), seed
