"""What every state of an order does with every event, written out by hand and compared cell by cell.

A cell says: the new state, what is announced, `take`, `sell` or `back` if the order wants something of the stock; `.`
nothing happens; `!` the message contradicts what is known and is parked.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest

from contracts.base import COINS_MAX
from contracts.commands import CancelOrder, FulfilmentAccepted, FulfilmentRejected, PlaceOrder
from contracts.events import (
    CancelRefused,
    CoinsCaptured,
    CoinsExpired,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
    FulfilmentRequested,
    OrderConfirmed,
    OrderFailed,
    OrderPlaced,
)
from holdfast.delivery.words import Fact
from order_service.order import (
    ASK_AGAIN_S_MAX,
    TABLE,
    AnswerOverdue,
    Contradiction,
    GiveBack,
    GoodsRefused,
    GoodsTaken,
    Item,
    Order,
    OrderDeadlinePassed,
    Sell,
    Situation,
    State,
    Step,
    Take,
    decide,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = UUID(int=7)
EARLIER = UUID(int=6)

INSTANT = """
event      | unknown                   | placed                    | reserved                       | confirmed                      | completed              | failed                 | cancelled
place      | placed order.placed       | .                         | .                              | .                              | = order.completed      | = order.failed         | = order.cancelled
cancel     | cancelled order.cancelled | cancelled order.cancelled | cancelled order.cancelled back | = order.cancel_refused         | = order.cancel_refused | = order.cancel_refused | = order.cancelled
reserved   | !                         | reserved take             | .                              | .                              | .                      | = order.failed         | = order.cancelled
refused    | .                         | failed order.failed       | failed order.failed back       | failed order.failed back       | !                      | .                      | .
captured   | !                         | !                         | !                              | completed order.completed sell | .                      | !                      | !
released   | .                         | failed order.failed       | failed order.failed back       | failed order.failed back       | !                      | .                      | .
expired    | .                         | failed order.failed       | failed order.failed back       | failed order.failed back       | !                      | .                      | .
accepted   | !                         | !                         | !                              | .                              | .                      | = order.failed         | = order.cancelled
rejected   | !                         | !                         | !                              | !                              | !                      | .                      | .
taken      | !                         | !                         | confirmed order.confirmed      | !                              | !                      | .                      | .
no goods   | !                         | !                         | failed order.failed            | !                              | !                      | .                      | .
deadline   | .                         | .                         | .                              | .                              | .                      | .                      | .
overdue    | .                         | = order.placed (again)    | .                              | = order.confirmed (again)      | .                      | .                      | .
"""  # noqa: E501

EXTERNAL = """
event      | placed                         | reserved                  | confirmed                 | completed             | failed                | cancelled
place      | .                              | .                         | .                         | = order.completed     | = order.failed        | = order.cancelled
cancel     | cancelled order.cancelled      | cancelled order.cancelled | = order.cancel_refused    | = order.cancel_refused | = order.cancel_refused | = order.cancelled
reserved   | reserved fulfilment.requested  | .                         | .                         | .                     | = order.failed        | = order.cancelled
refused    | failed order.failed            | failed order.failed       | failed order.failed       | !                     | .                     | .
captured   | !                              | !                         | completed order.completed | .                     | !                     | !
released   | failed order.failed            | failed order.failed       | failed order.failed       | !                     | .                     | .
expired    | failed order.failed            | failed order.failed       | failed order.failed       | !                     | .                     | .
accepted   | = (remembered)                 | confirmed order.confirmed | .                         | .                     | = order.failed        | = order.cancelled
rejected   | failed order.failed            | failed order.failed       | !                         | !                     | .                     | .
taken      | !                              | !                         | !                         | !                     | .                     | .
no goods   | !                              | !                         | !                         | !                     | .                     | .
deadline   | .                              | .                         | .                         | .                     | .                     | .
overdue    | = order.placed (again)         | .                         | = order.confirmed (again) | .                     | .                     | .
"""  # noqa: E501

COUNTED = """
event      | placed                    | reserved                       | taken                          | confirmed                      | completed              | failed                 | cancelled
place      | .                         | .                              | .                              | .                              | = order.completed      | = order.failed         | = order.cancelled
cancel     | cancelled order.cancelled | cancelled order.cancelled back | cancelled order.cancelled back | = order.cancel_refused         | = order.cancel_refused | = order.cancel_refused | = order.cancelled
reserved   | reserved take             | .                              | .                              | .                              | .                      | = order.failed         | = order.cancelled
refused    | failed order.failed       | failed order.failed back       | failed order.failed back       | failed order.failed back       | !                      | .                      | .
captured   | !                         | !                              | !                              | completed order.completed sell | .                      | !                      | !
released   | failed order.failed       | failed order.failed back       | failed order.failed back       | failed order.failed back       | !                      | .                      | .
expired    | failed order.failed       | failed order.failed back       | failed order.failed back       | failed order.failed back       | !                      | .                      | .
accepted   | = (remembered)            | = (remembered)                 | confirmed order.confirmed      | .                              | .                      | = order.failed         | = order.cancelled
rejected   | failed order.failed       | failed order.failed back       | failed order.failed back       | !                              | !                      | .                      | .
taken      | !                         | = fulfilment.requested (taken) | !                              | !                              | !                      | .                      | .
no goods   | !                         | failed order.failed            | !                              | !                              | !                      | .                      | .
deadline   | .                         | .                              | .                              | .                              | .                      | .                      | .
overdue    | = order.placed (again)    | .                              | .                              | = order.confirmed (again)      | .                      | .                      | .
"""  # noqa: E501
"""An item that is fulfilled externally, and whose pieces are counted: an order is `reserved` until it is confirmed, and
has its pieces from `taken` on.
"""

EVENTS: dict[str, Fact] = {
    "place": PlaceOrder(order_id=ID, account_id="a", item="sword", quantity=2),
    "cancel": CancelOrder(order_id=ID, account_id="a"),
    "reserved": CoinsReserved(account_id="a", operation_id=ID, asked_by="order", amount=20, deadline=NOW),
    "refused": CoinsRefused(
        account_id="a", operation_id=ID, asked_by="order", kind="reserve", reason="insufficient_coins"
    ),
    "captured": CoinsCaptured(account_id="a", operation_id=ID, asked_by="order", amount=20),
    "released": CoinsReleased(account_id="a", operation_id=ID, asked_by="order", amount=20),
    "expired": CoinsExpired(account_id="a", operation_id=ID, asked_by="order", amount=20),
    "accepted": FulfilmentAccepted(order_id=ID),
    "rejected": FulfilmentRejected(order_id=ID, reason="broken"),
    "taken": GoodsTaken(order_id=ID),
    "no goods": GoodsRefused(order_id=ID, reason="out_of_stock"),
    "deadline": OrderDeadlinePassed(order_id=ID),
    "overdue": AnswerOverdue(order_id=ID),
}


ITEMS = {
    "instant": Item("sword", 10, "instant", counted=True),
    "external": Item("sword", 10, "external", counted=False),
    "counted": Item("sword", 10, "external", counted=True),
}


def situation(state: str, kind: str) -> Situation:
    """An order of such an item in this state; `taken`: reserved, and with its pieces."""
    item = ITEMS[kind]
    if state == "unknown":
        return Situation(Order(ID), item, NOW)
    deadline = NOW + timedelta(seconds=60) if state in ("placed", "reserved", "taken") else None
    reason = "broken" if state == "failed" else None
    named: Any = "reserved" if state == "taken" else state
    order = Order(ID, "a", "sword", 2, 20, item.fulfilment, named, reason, deadline, NOW, counted=item.counted)
    taken = item.counted and state in ("taken", "confirmed", "completed")
    return Situation(replace(order, after=(EARLIER,), ask_again_at=NOW, taken=taken), item, NOW)


def cells(table: str, kind: str) -> list[tuple[str, str, str, str]]:
    head, *rows = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    return [(kind, state, row[0], cell) for row in rows for state, cell in zip(head[1:], row[1:], strict=True)]


def told(before: Situation, after: Step) -> str:
    """What happened, in the words of the table."""
    words: list[str] = ["=" if after.order.state == before.order.state else after.order.state]
    words += [fact.type for fact in after.facts]
    match after.wish:
        case Take():
            assert after.wish == Take(2, NOW + timedelta(seconds=60))
            words.append("take")
        case Sell():
            words.append("sell")
        case GiveBack():
            words.append("back")
    if after.order.accepted != before.order.accepted:
        words.append("(remembered)")
    if after.order.taken and not before.order.taken and after.order.state == "reserved":
        words.append("(taken)")
    if after.again:
        assert after.again == after.order.asks == before.order.asks + 1
        words.append("(again)")
    return "." if words == ["="] else " ".join(words)


@pytest.mark.parametrize(
    ("kind", "state", "event", "expected"),
    cells(INSTANT, "instant") + cells(EXTERNAL, "external") + cells(COUNTED, "counted"),
)
def test_each_state_meets_each_event(kind: str, state: str, event: str, expected: str) -> None:
    at = situation(state, kind)
    if expected == "!":
        with pytest.raises(Contradiction, match=str(ID)):
            decide(at, EVENTS[event])
    else:
        assert told(at, decide(at, EVENTS[event])) == expected


def test_the_table_has_a_move_for_every_state_and_event() -> None:
    assert set(TABLE) == set(get_args(State))
    kinds = {type(fact) for fact in EVENTS.values()}
    assert all(set(moves) == kinds for moves in TABLE.values())


@pytest.mark.parametrize("kind", ["external", "counted"])
@pytest.mark.parametrize("state", ["placed", "reserved", "taken"])
@pytest.mark.parametrize("event", EVENTS)
def test_a_deadline_that_passed_counts_before_any_event(kind: str, state: str, event: str) -> None:
    at = situation(state, kind)
    late = replace(at, now=NOW + timedelta(seconds=60))
    if event == "captured":
        with pytest.raises(Contradiction):
            decide(late, EVENTS[event])
        return
    step = decide(late, EVENTS[event])
    assert (step.order.state, step.order.reason) == ("failed", "deadline_passed")
    assert [fact.type for fact in step.facts].count("order.failed") == 1
    has_asked = (kind, state) in (("counted", "reserved"), ("counted", "taken"))
    assert step.wish == (GiveBack("deadline_passed") if has_asked else None)


@pytest.mark.parametrize(
    ("place", "item", "reason"),
    [
        (EVENTS["place"], None, "unknown_item"),
        (EVENTS["place"], Item("sword", COINS_MAX, "instant", counted=True), "amount_limit"),
    ],
)
def test_an_order_that_cannot_be_priced_fails_at_once(place: Fact, item: Item | None, reason: str) -> None:
    step = decide(Situation(Order(ID), item, NOW), place)
    assert step.facts == (OrderFailed(order_id=ID, account_id="a", reason=reason),)


def test_an_acceptance_before_the_reservation_is_used_when_the_coins_are_there() -> None:
    early = decide(situation("placed", "external"), EVENTS["accepted"])
    then = replace(situation("placed", "external"), order=early.order)
    assert told(then, decide(then, EVENTS["reserved"])) == "confirmed order.confirmed"


@pytest.mark.parametrize("state", ["placed", "reserved"])
def test_an_acceptance_before_the_pieces_is_used_when_they_are_there(state: str) -> None:
    at = situation(state, "counted")
    early = replace(at, order=decide(at, EVENTS["accepted"]).order)
    reserved = early if state == "reserved" else replace(at, order=decide(early, EVENTS["reserved"]).order)
    step = decide(reserved, EVENTS["taken"])
    assert told(reserved, step) == "confirmed order.confirmed"
    assert (step.order.accepted, step.order.taken) == (True, True)


def test_an_order_that_accepted_early_and_finds_no_pieces_fails() -> None:
    at = situation("reserved", "counted")
    early = replace(at, order=decide(at, EVENTS["accepted"]).order)
    assert told(early, decide(early, EVENTS["no goods"])) == "failed order.failed"


@pytest.mark.parametrize("kind", ITEMS)
def test_an_order_is_counted_if_its_item_is_when_it_is_placed(kind: str) -> None:
    at = situation("unknown", kind)
    order = decide(at, EVENTS["place"]).order
    assert order.counted is ITEMS[kind].counted
    other = replace(at, order=order, item=replace(ITEMS[kind], counted=not order.counted))
    assert (decide(other, EVENTS["reserved"]).wish is not None) is order.counted


def test_a_strangers_cancel_leaves_no_tombstone_for_another_account() -> None:
    stranger = CancelOrder(order_id=ID, account_id="b")
    tombstone = decide(Situation(Order(ID), None, NOW), stranger)
    step = decide(Situation(tombstone.order, situation("unknown", "instant").item, NOW), EVENTS["place"])
    assert step.order.state == "placed"


@pytest.mark.parametrize("state", get_args(State)[1:])
@pytest.mark.parametrize(
    "other",
    [
        PlaceOrder(order_id=ID, account_id="a", item="sword", quantity=3),
        PlaceOrder(order_id=ID, account_id="a", item="shield", quantity=2),
        PlaceOrder(order_id=ID, account_id="b", item="sword", quantity=2),
    ],
)
def test_the_same_id_for_another_order_contradicts(state: str, other: PlaceOrder) -> None:
    with pytest.raises(Contradiction, match=f"{ID} was used for another order; use a new id"):
        decide(situation(state, "external"), other)


@pytest.mark.parametrize("event", ["reserved", "captured", "accepted", "rejected", "taken", "no goods"])
def test_what_nobody_ordered_contradicts_and_is_told_so(event: str) -> None:
    with pytest.raises(Contradiction, match=f"{EVENTS[event].type} for order {ID}, which is unknown"):
        decide(situation("unknown", "instant"), EVENTS[event])


@pytest.mark.parametrize("state", get_args(State)[1:])
def test_a_strangers_cancel_changes_nothing_and_is_told_nothing(state: str) -> None:
    at = situation(state, "external")
    step = decide(at, CancelOrder(order_id=ID, account_id="b"))
    assert step == Step(at.order, (CancelRefused(order_id=ID, account_id="b", reason="other_account"),))


REASONS = {
    "refused": "insufficient_coins",
    "released": "reservation_released",
    "expired": "reservation_expired",
    "rejected": "broken",
}


@pytest.mark.parametrize("state", ["placed", "reserved", "confirmed"])
@pytest.mark.parametrize(("event", "reason"), REASONS.items())
def test_a_failed_order_says_why(state: str, event: str, reason: str) -> None:
    if (state, event) == ("confirmed", "rejected"):
        with pytest.raises(Contradiction):
            decide(situation(state, "external"), EVENTS[event])
        return
    step = decide(situation(state, "external"), EVENTS[event])
    assert (step.order.reason, step.order.deadline) == (reason, None)
    assert step.facts == (OrderFailed(order_id=ID, account_id="a", reason=reason),)


@pytest.mark.parametrize("event", ["place", "reserved", "accepted"])
def test_how_an_order_failed_is_said_again_as_it_was(event: str) -> None:
    at = situation("failed", "external")
    again = Step(at.order, (OrderFailed(order_id=ID, account_id="a", reason="broken"),))
    assert decide(at, EVENTS[event]) == again


def test_the_coins_are_asked_for_again_for_the_time_that_is_left_and_with_the_same_places() -> None:
    at = replace(situation("placed", "instant"), now=NOW + timedelta(seconds=40))
    (question,) = decide(at, EVENTS["overdue"]).facts
    assert question == OrderPlaced(order_id=ID, account_id="a", amount=20, hold_s=20.0, after=(EARLIER,))


def test_each_question_is_asked_again_later_and_later_up_to_an_hour() -> None:
    at = situation("confirmed", "instant")
    pauses = []
    for _ in range(50):
        step = decide(at, EVENTS["overdue"])
        assert step.order.ask_again_at is not None
        pauses.append((step.order.ask_again_at - at.now).total_seconds())
        early = replace(at, order=step.order, now=step.order.ask_again_at - timedelta(microseconds=1))
        assert decide(early, EVENTS["overdue"]).facts == ()
        at = replace(at, order=step.order, now=step.order.ask_again_at)
    assert pauses[:4] == [60, 120, 240, 480]
    assert set(pauses[7:]) == {ASK_AGAIN_S_MAX}


def test_a_question_that_was_answered_is_not_asked_again_and_the_next_one_begins_anew() -> None:
    first = decide(situation("unknown", "external"), EVENTS["place"]).order
    assert first.ask_again_at == NOW + timedelta(seconds=30)
    asked = replace(situation("placed", "external"), order=replace(first, asks=3))
    reserved = decide(asked, EVENTS["reserved"]).order
    assert (reserved.state, reserved.ask_again_at, reserved.after) == ("reserved", None, ())
    confirmed = decide(replace(asked, order=reserved), EVENTS["accepted"]).order
    assert (confirmed.asks, confirmed.ask_again_at) == (0, NOW + timedelta(seconds=30))
    assert decide(replace(asked, order=confirmed), EVENTS["captured"]).order.ask_again_at is None


@pytest.mark.parametrize("block", range(4))
def test_goods_and_endings_agree_after_any_history(block: int) -> None:
    """Any events in any order: what was taken is sold or given back when the order ends, and an end is an end."""
    for seed in range(block * 2500, block * 2500 + 2500):
        chance = random.Random(seed)
        order, item, now, wishes = Order(uuid4()), chance.choice(list(ITEMS.values())), NOW, list[Any]()
        for _ in range(12):
            fact = chance.choice(list(EVENTS.values()))
            now += timedelta(seconds=chance.choice((0, 0, 1, 400)))
            try:
                step = decide(Situation(order, item, now), fact)
            except Contradiction:
                continue
            if order.state in ENDED:
                assert step.order.state == order.state
            asked = any(isinstance(each, FulfilmentRequested | OrderConfirmed) for each in step.facts)
            assert not (asked and step.order.lacks_pieces), seed
            order = step.order
            wishes += [type(step.wish)] if step.wish else []
            wishes += ["refused"] if type(fact) is GoodsRefused and order.reason == "out_of_stock" else []
        assert wishes[:2] in (ENDINGS[order.state] if item.counted else [[]]), seed
        assert set(wishes[2:]) <= {"refused"}, seed


ENDED = ("completed", "failed", "cancelled")
ENDINGS: dict[str, list[list[Any]]] = {
    "unknown": [[]],
    "placed": [[]],
    "reserved": [[Take]],
    "confirmed": [[Take]],
    "completed": [[Take, Sell]],
    "failed": [[], [Take, GiveBack], [Take, "refused"]],
    "cancelled": [[], [Take, GiveBack]],
}
"""What an order has wanted of the stock, and been refused, by the state that it has reached."""
