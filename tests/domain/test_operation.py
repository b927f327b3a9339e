"""One operation by itself: its answer on a balance, what it leaves possible, and what is announced of it."""

from __future__ import annotations

from typing import Any, cast, get_args

import pytest

from contracts.base import Fact
from contracts.events import (
    CoinsCaptured,
    CoinsCredited,
    CoinsExpired,
    CoinsMultiplied,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
    OperationKind,
)
from tests.domain.moves import id_of, time_of
from user_service.operation import UNBOUNDED, Answer, Interval, Operation, State, answer, answer_fact, span

ID = id_of("a")
BEFORE = Interval(30, 50)


def operation(state: str, kind: str | None = "reserve", size: int = 20, **fields: Any) -> Operation:
    return Operation(ID, 1, cast(OperationKind, kind), size, cast(State, state), **fields)


@pytest.mark.parametrize(
    ("kind", "size", "balance", "given"),
    [
        ("credit", 7, 0, Answer("credited", 7)),
        ("bonus", 7, 3, Answer("credited", 7)),
        ("reserve", 7, 7, Answer("reserved", 0, None)),
        ("reserve", 7, 6, Answer("refused", 0, "insufficient_coins")),
        ("multiply", 2, 0, Answer("multiplied", 0)),
        ("multiply", 3, 7, Answer("multiplied", 14)),
    ],
)
def test_the_answer_is_that_of_one_program(kind: OperationKind, size: int, balance: int, given: Answer) -> None:
    assert answer(kind, size, balance) == given


@pytest.mark.parametrize(
    ("one", "behind"),
    [
        (operation("named", kind=None, size=0), Interval(0, UNBOUNDED)),
        (operation("waiting", "reserve"), Interval(0, 50)),
        (operation("waiting", "multiply", 3), Interval(30, 150)),
        (operation("waiting", "credit"), Interval(30, 70)),
        (operation("waiting", "bonus"), Interval(30, 70)),
        (operation("reserved"), Interval(10, 50)),
        (operation("captured", delta=-20), Interval(10, 30)),
        (operation("released"), Interval(30, 50)),
        (operation("expired"), Interval(30, 50)),
        (operation("refused"), Interval(30, 50)),
        (operation("credited", "credit", delta=20), Interval(50, 70)),
        (operation("multiplied", "multiply", 2, delta=20), Interval(50, 70)),
    ],
    ids=lambda one: f"{one.state} {one.kind}" if isinstance(one, Operation) else "",
)
def test_the_interval_behind_it_holds_every_way_it_may_end(one: Operation, behind: Interval) -> None:
    assert span(one, BEFORE) == behind


OF: dict[str, Any] = {"account_id": "ada", "operation_id": ID}

FACTS: dict[str, tuple[Operation, Fact | None]] = {
    "named": (operation("named", kind=None), None),
    "waiting": (operation("waiting"), None),
    "credited": (operation("credited", "bonus", delta=20), CoinsCredited(**OF, kind="bonus", amount=20)),
    "reserved": (operation("reserved", deadline=time_of(9)), CoinsReserved(**OF, amount=20, deadline=time_of(9))),
    "captured": (operation("captured", delta=-20), CoinsCaptured(**OF, amount=20)),
    "released": (operation("released"), CoinsReleased(**OF, amount=20)),
    "expired": (operation("expired"), CoinsExpired(**OF, amount=20)),
    "multiplied": (operation("multiplied", "multiply", 2, delta=9), CoinsMultiplied(**OF, factor=2, added=9)),
    "refused": (
        operation("refused", "multiply", reason="cancelled"),
        CoinsRefused(**OF, kind="multiply", reason="cancelled"),
    ),
}


@pytest.mark.parametrize("state", get_args(State))
def test_each_answer_is_announced_whole(state: str) -> None:
    one, fact = FACTS[state]
    assert answer_fact("ada", one) == fact


def test_a_refusal_always_has_a_reason_and_a_tombstone_is_not_announced() -> None:
    assert answer_fact("ada", operation("refused")) == CoinsRefused(**OF, kind="reserve", reason="refused")
    assert answer_fact("ada", operation("refused", kind=None)) is None


def test_a_kind_or_state_that_nobody_thought_of_is_a_bug_and_says_which() -> None:
    with pytest.raises(AssertionError, match="fee"):
        answer(cast(OperationKind, "fee"), 1, 1)
    with pytest.raises(AssertionError, match="frozen"):
        answer_fact("ada", operation("frozen"))


def test_open_is_what_is_unanswered_or_unsettled() -> None:
    assert {state for state in get_args(State) if operation(state).is_open} == {"named", "waiting", "reserved"}
