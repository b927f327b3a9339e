"""One order through its states, as a table of what every state does with every event. Pure: no I/O, no clock.

Before `confirmed` everything can be undone, after the capture nothing fails. What an order wants of its item's stock it
only says; the answers come back as `GoodsTaken` and `GoodsRefused`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar, Literal, NoReturn
from uuid import UUID

from contracts.base import COINS_MAX, Scarce
from contracts.commands import CancelOrder, FulfilmentAccepted, FulfilmentRejected, PlaceOrder
from contracts.events import (
    CancelRefused,
    CoinsCaptured,
    CoinsExpired,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
    FulfilmentRequested,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderFailed,
    OrderPlaced,
)
from holdfast.delivery.words import Exchange, Fact, Reason

ASK_AGAIN_S_MAX = 3600.0
"""The longest pause before the user service is asked again, in seconds."""

State = Literal["unknown", "placed", "reserved", "confirmed", "completed", "failed", "cancelled"]
Fulfilment = Literal["instant", "external"]


class Contradiction(Exception):
    """A message that contradicts what is known of the order; the text says how. It has no effect."""


class OrderDeadlinePassed(Fact):
    """The order was not fulfilled in time. The service sends this to itself."""

    type: ClassVar[str] = "order.deadline_passed"
    exchange: ClassVar[Exchange] = "order"
    saga_field: ClassVar[str] = "order_id"
    subject_field: ClassVar[str] = "order_id"

    order_id: UUID


class AnswerOverdue(Fact):
    """The user service has not answered for a while: the question or its answer may be lost. Sent to itself, too."""

    type: ClassVar[str] = "order.answer_overdue"
    exchange: ClassVar[Exchange] = "order"
    saga_field: ClassVar[str] = "order_id"
    subject_field: ClassVar[str] = "order_id"

    order_id: UUID


class GoodsTaken(Fact):
    """The item's stock has set the order's pieces aside. The service tells itself."""

    type: ClassVar[str] = "goods.taken"
    exchange: ClassVar[Exchange] = "order"
    saga_field: ClassVar[str] = "order_id"
    subject_field: ClassVar[str] = "order_id"

    order_id: UUID


class GoodsRefused(Fact):
    """The item's stock has no pieces for the order, now or later. The service tells itself."""

    type: ClassVar[str] = "goods.refused"
    exchange: ClassVar[Exchange] = "order"
    saga_field: ClassVar[str] = "order_id"
    subject_field: ClassVar[str] = "order_id"

    order_id: UUID
    reason: Reason


@dataclass(frozen=True, slots=True)
class Take:
    """Set `quantity` pieces aside for the order; if that is not certain yet, wait for it until `until`."""

    quantity: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Sell:
    """The pieces that are set aside are the customer's."""


@dataclass(frozen=True, slots=True)
class GiveBack:
    """The order wants no pieces any more: what is set aside goes back, what waits is withdrawn."""

    reason: str


Wish = Take | Sell | GiveBack
"""What an order wants of its item's stock."""


@dataclass(frozen=True, slots=True)
class Item:
    """Goods for sale. `price` in coins. `counted`: whether their pieces are in the stock here, as those of instant ones
    always are. `scarce`: whether an order waits for pieces that others may give back, or is refused at once.
    """

    name: str
    price: int
    fulfilment: Fulfilment
    counted: bool
    scarce: Scarce = "wait"


@dataclass(frozen=True, slots=True)
class Order:
    """An order. `amount`: coins to pay, 0 while unknown. `item` is None for one that was cancelled before it came.
    `accepted`: an external fulfilment was accepted before coins and pieces were there. `after`: as in the command, kept
    while `placed`. `asks` and `ask_again_at`: how often the present question to the user service was asked again, and
    when it is next, if it is still open then. `counted`: as its item was when it was placed. `taken`: the stock has set
    its pieces aside.
    """

    id: UUID
    account_id: str = ""
    item: str | None = None
    quantity: int = 0
    amount: int = 0
    fulfilment: Fulfilment | None = None
    state: State = "unknown"
    reason: str | None = None
    deadline: datetime | None = None
    placed_at: datetime | None = None
    accepted: bool = False
    trace: str | None = None
    after: tuple[UUID, ...] = ()
    asks: int = 0
    ask_again_at: datetime | None = None
    counted: bool = False
    taken: bool = False

    @property
    def is_on_stock(self) -> bool:
        """Whether it has pieces of its item's stock that are not sold, or may still want some."""
        return self.counted and self.state in ("placed", "reserved", "confirmed")

    @property
    def lacks_pieces(self) -> bool:
        """Whether it cannot go on without pieces of the stock, and has none."""
        return self.counted and not self.taken


@dataclass(frozen=True, slots=True)
class Situation:
    """What a move looks at: the order, its item (None: not in the catalog), the time and the default deadline.
    `ask_again_s`: how long the first answer is waited for.
    """

    order: Order
    item: Item | None
    now: datetime
    deadline_s: float = 900.0
    ask_again_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Step:
    """What an event made of the order, what is announced, and what the order wants of its item's stock.

    `again`: not 0 if `facts` are a question that is asked again for the n-th time.
    """

    order: Order
    facts: tuple[Fact, ...] = ()
    wish: Wish | None = None
    again: int = 0


Move = Callable[[Situation, Fact], Step]


def decide(at: Situation, fact: Fact) -> Step:
    """What the fact makes of the order. A deadline that has passed has its effect first, whoever noticed.

    Raises `Contradiction` where the fact cannot be true of the order.
    """
    step = _decide(at, fact)
    order = step.order
    if order.state == at.order.state:
        return step
    asked = order.state in ("placed", "confirmed")
    ask_again_at = at.now + timedelta(seconds=at.ask_again_s) if asked else None
    after = order.after if order.state == "placed" else ()
    return replace(step, order=replace(order, asks=0, ask_again_at=ask_again_at, after=after))


def _decide(at: Situation, fact: Fact) -> Step:
    order = at.order
    if order.state in ("placed", "reserved") and order.deadline and order.deadline <= at.now:
        late = _fail(at, "deadline_passed")
        if isinstance(fact, OrderDeadlinePassed):
            return late
        then = TABLE[late.order.state][type(fact)](replace(at, order=late.order), fact)
        said = {each.announcement_id: each for each in (*late.facts, *then.facts)}
        return Step(then.order, tuple(said.values()), late.wish)
    return TABLE[order.state][type(fact)](at, fact)


def _place(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, PlaceOrder)
    deadline_s = fact.deadline_s or at.deadline_s
    order = replace(
        at.order,
        account_id=fact.account_id,
        item=fact.item,
        quantity=fact.quantity,
        state="placed",
        placed_at=at.now,
        deadline=at.now + timedelta(seconds=deadline_s),
        after=fact.after,
    )
    if at.item is None:
        return _fail(replace(at, order=order), "unknown_item")
    amount = at.item.price * fact.quantity
    if amount > COINS_MAX:
        return _fail(replace(at, order=order), "amount_limit")
    order = replace(order, amount=amount, fulfilment=at.item.fulfilment, counted=at.item.counted)
    return Step(order, (_placed(order, deadline_s),))


def _placed(order: Order, hold_s: float) -> Fact:
    return OrderPlaced(
        order_id=order.id, account_id=order.account_id, amount=order.amount, hold_s=hold_s, after=order.after
    )


def _place_again(at: Situation, fact: Fact) -> Step:
    """The same command again is told how the order ended; the same id for something else is a contradiction."""
    assert isinstance(fact, PlaceOrder)
    order = at.order
    if order.item is None and order.account_id != fact.account_id:
        return _place(replace(at, order=Order(order.id, trace=order.trace)), fact)
    if order.item is not None and (order.account_id, order.item, order.quantity) != (
        fact.account_id,
        fact.item,
        fact.quantity,
    ):
        raise Contradiction(f"order_id: {order.id} was used for another order; use a new id for each order")
    return _say_again(at, fact)


def _say_again(at: Situation, fact: Fact) -> Step:
    """How the order ended; nothing while it is open, since what was asked for it is in the outbox or beyond."""
    order = at.order
    of = {"order_id": order.id, "account_id": order.account_id}
    said: Fact
    match order.state:
        case "unknown" | "placed" | "reserved" | "confirmed":
            return Step(order)
        case "completed":
            said = OrderCompleted.model_validate(of)
        case "failed":
            said = OrderFailed(order_id=order.id, account_id=order.account_id, reason=order.reason or "failed")
        case "cancelled":
            said = OrderCancelled.model_validate(of)
    return Step(order, (said,))


def _fulfil(at: Situation, fact: Fact) -> Step:
    """The coins are reserved: take the pieces from stock, where they are counted."""
    order = replace(at.order, state="reserved")
    assert order.deadline is not None
    if order.counted:
        return Step(order, wish=Take(order.quantity, order.deadline))
    return _hand_over(replace(at, order=order), fact)


def _taken(at: Situation, fact: Fact) -> Step:
    """The pieces are set aside, too."""
    if not at.order.lacks_pieces:
        _contradict(at, fact)
    return _hand_over(replace(at, order=replace(at.order, taken=True)), fact)


def _hand_over(at: Situation, fact: Fact) -> Step:
    """Nothing is missing here: ask whoever hands over the goods, if they are others and have not accepted already."""
    order = at.order
    assert order.item is not None
    assert order.deadline is not None
    if order.fulfilment == "instant" or order.accepted:
        return _confirm(at, fact)
    asked = FulfilmentRequested(
        order_id=order.id,
        account_id=order.account_id,
        item=order.item,
        quantity=order.quantity,
        deadline=order.deadline,
    )
    return Step(order, (asked,))


def _confirm(at: Situation, fact: Fact) -> Step:
    order = replace(at.order, state="confirmed", deadline=None)
    return Step(order, (_confirmed(order),))


def _no_goods(at: Situation, fact: Fact) -> Step:
    """The stock has ended the order's operation already, so nothing is wanted of it any more."""
    assert isinstance(fact, GoodsRefused)
    if not at.order.lacks_pieces:
        _contradict(at, fact)
    return replace(_fail(at, fact.reason), wish=None)


def _confirmed(order: Order) -> Fact:
    return OrderConfirmed(order_id=order.id, account_id=order.account_id)


def _accept(at: Situation, fact: Fact) -> Step:
    _must_be_external(at.order, fact)
    return _accept_early(at, fact) if at.order.lacks_pieces else _confirm(at, fact)


def _accept_early(at: Situation, fact: Fact) -> Step:
    _must_be_external(at.order, fact)
    return Step(replace(at.order, accepted=True))


def _reject(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, FulfilmentRejected)
    _must_be_external(at.order, fact)
    return _fail(at, fact.reason)


def _must_be_external(order: Order, fact: Fact) -> None:
    if order.fulfilment != "external":
        raise Contradiction(f"order {order.id} is fulfilled from stock, so nobody can answer {fact.type} for it")


def _complete(at: Situation, fact: Fact) -> Step:
    order = replace(at.order, state="completed")
    completed = OrderCompleted(order_id=order.id, account_id=order.account_id)
    return Step(order, (completed,), Sell() if order.counted else None)


def _fail(at: Situation, reason: str) -> Step:
    """End the order without effect."""
    order = at.order
    failed = replace(order, state="failed", reason=reason, deadline=None)
    return Step(
        failed, (OrderFailed(order_id=order.id, account_id=order.account_id, reason=reason),), _give_back(order, reason)
    )


def _give_back(order: Order, reason: str) -> GiveBack | None:
    has_asked = order.counted and order.state in ("reserved", "confirmed")
    return GiveBack(reason) if has_asked else None


def _refused(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, CoinsRefused)
    return _fail(at, fact.reason)


def _released(at: Situation, fact: Fact) -> Step:
    return _fail(at, "reservation_released")


def _expired(at: Situation, fact: Fact) -> Step:
    return _fail(at, "reservation_expired")


def _place_overdue(at: Situation, fact: Fact) -> Step:
    """Ask for the coins again, for the time that is left, and with the same places in `after`."""
    assert at.order.deadline is not None
    return _ask_again(at, _placed(at.order, (at.order.deadline - at.now).total_seconds()))


def _confirm_overdue(at: Situation, fact: Fact) -> Step:
    return _ask_again(at, _confirmed(at.order))


def _ask_again(at: Situation, question: Fact) -> Step:
    """Ask once more, and wait twice as long for the answer; nothing if another replica has just asked."""
    order = at.order
    if order.ask_again_at is None or at.now < order.ask_again_at:
        return Step(order)
    asks = order.asks + 1
    pause_s = min(at.ask_again_s * 2 ** min(asks, 32), ASK_AGAIN_S_MAX)
    asked = replace(order, asks=asks, ask_again_at=at.now + timedelta(seconds=pause_s))
    return Step(asked, (question,), again=asks)


def _cancel(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, CancelOrder)
    order = at.order
    if order.account_id != fact.account_id:
        return _cancel_refused(at, fact, "other_account")
    cancelled = replace(order, state="cancelled", deadline=None)
    told = OrderCancelled(order_id=order.id, account_id=order.account_id)
    return Step(cancelled, (told,), _give_back(order, "cancelled"))


def _cancel_unknown(at: Situation, fact: Fact) -> Step:
    """The cancel overtook its order: a tombstone waits for it."""
    assert isinstance(fact, CancelOrder)
    return _cancel(replace(at, order=replace(at.order, account_id=fact.account_id, placed_at=at.now)), fact)


def _cancel_late(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, CancelOrder)
    known = at.order.account_id == fact.account_id
    return _cancel_refused(at, fact, at.order.state if known else "other_account")


def _cancel_again(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, CancelOrder)
    return _say_again(at, fact) if at.order.account_id == fact.account_id else _cancel_late(at, fact)


def _cancel_refused(at: Situation, fact: CancelOrder, reason: str) -> Step:
    refused = CancelRefused(order_id=fact.order_id, account_id=fact.account_id, reason=reason)
    return Step(at.order, (refused,))


def _ignore(at: Situation, fact: Fact) -> Step:
    """Late or doubled: the order has moved on. Or early: a deadline that passed has its effect before any move."""
    return Step(at.order)


def _contradict(at: Situation, fact: Fact) -> NoReturn:
    raise Contradiction(f"{fact.type} for order {at.order.id}, which is {at.order.state}")


TABLE: Mapping[State, Mapping[type[Fact], Move]] = {
    "unknown": {
        PlaceOrder: _place,
        CancelOrder: _cancel_unknown,
        CoinsReserved: _contradict,
        CoinsRefused: _ignore,
        CoinsCaptured: _contradict,
        CoinsReleased: _ignore,
        CoinsExpired: _ignore,
        FulfilmentAccepted: _contradict,
        FulfilmentRejected: _contradict,
        GoodsTaken: _contradict,
        GoodsRefused: _contradict,
        OrderDeadlinePassed: _ignore,
        AnswerOverdue: _ignore,
    },
    "placed": {
        PlaceOrder: _place_again,
        CancelOrder: _cancel,
        CoinsReserved: _fulfil,
        CoinsRefused: _refused,
        CoinsCaptured: _contradict,
        CoinsReleased: _released,
        CoinsExpired: _expired,
        FulfilmentAccepted: _accept_early,
        FulfilmentRejected: _reject,
        GoodsTaken: _contradict,
        GoodsRefused: _contradict,
        OrderDeadlinePassed: _ignore,
        AnswerOverdue: _place_overdue,
    },
    "reserved": {
        PlaceOrder: _place_again,
        CancelOrder: _cancel,
        CoinsReserved: _ignore,
        CoinsRefused: _refused,
        CoinsCaptured: _contradict,
        CoinsReleased: _released,
        CoinsExpired: _expired,
        FulfilmentAccepted: _accept,
        FulfilmentRejected: _reject,
        GoodsTaken: _taken,
        GoodsRefused: _no_goods,
        OrderDeadlinePassed: _ignore,
        AnswerOverdue: _ignore,
    },
    "confirmed": {
        PlaceOrder: _place_again,
        CancelOrder: _cancel_late,
        CoinsReserved: _ignore,
        CoinsRefused: _refused,
        CoinsCaptured: _complete,
        CoinsReleased: _released,
        CoinsExpired: _expired,
        FulfilmentAccepted: _ignore,
        FulfilmentRejected: _contradict,
        GoodsTaken: _contradict,
        GoodsRefused: _contradict,
        OrderDeadlinePassed: _ignore,
        AnswerOverdue: _confirm_overdue,
    },
    "completed": {
        PlaceOrder: _place_again,
        CancelOrder: _cancel_late,
        CoinsReserved: _ignore,
        CoinsRefused: _contradict,
        CoinsCaptured: _ignore,
        CoinsReleased: _contradict,
        CoinsExpired: _contradict,
        FulfilmentAccepted: _ignore,
        FulfilmentRejected: _contradict,
        GoodsTaken: _contradict,
        GoodsRefused: _contradict,
        OrderDeadlinePassed: _ignore,
        AnswerOverdue: _ignore,
    },
    "failed": {
        PlaceOrder: _place_again,
        CancelOrder: _cancel_late,
        CoinsReserved: _say_again,
        CoinsRefused: _ignore,
        CoinsCaptured: _contradict,
        CoinsReleased: _ignore,
        CoinsExpired: _ignore,
        FulfilmentAccepted: _say_again,
        FulfilmentRejected: _ignore,
        GoodsTaken: _ignore,
        GoodsRefused: _ignore,
        OrderDeadlinePassed: _ignore,
        AnswerOverdue: _ignore,
    },
    "cancelled": {
        PlaceOrder: _place_again,
        CancelOrder: _cancel_again,
        CoinsReserved: _say_again,
        CoinsRefused: _ignore,
        CoinsCaptured: _contradict,
        CoinsReleased: _ignore,
        CoinsExpired: _ignore,
        FulfilmentAccepted: _say_again,
        FulfilmentRejected: _ignore,
        GoodsTaken: _ignore,
        GoodsRefused: _ignore,
        OrderDeadlinePassed: _ignore,
        AnswerOverdue: _ignore,
    },
}
"""What every state does with every event: early, late and doubled ones included.

`reserved` asks nobody again: whoever fulfils has till the deadline, which ends the order even if they never heard of it
(`fulfilment.requested` purged from a warehouse's queue). An order of a counted item is `reserved` while it waits for
pieces, and nobody is asked for them before it has some. The stock answers an order once, while it is `reserved`, or
when it gives up; anything else is a fault.
"""
