"""Among pending operations, the audit finds what waits without need, and what was answered too early."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from client.audit_entity import entity_findings
from client.audit_pending import KEPT_MAX, OVERDUE_S, TRIED_MAX
from client.audit_rows import Entities
from contracts.base import COINS_MAX
from tests.client.audit_books import CREDIT, DONE, LAST, LATER, NOW, ORDER, PROMO, PUT, SOON, TAKEN, USED, Op, kept

NOBODY = UUID(int=99)


def said(books: Entities) -> str:
    return "\n".join(str(finding) for finding in entity_findings(books))


def behind(of: str, *pending: tuple[str, int, str] | Op) -> Entities:
    """The books' account (60 coins), item (2 pieces) or code (1 use) with these pending operations."""
    done = {"account": DONE, "item": TAKEN, "code": (USED,)}[of]
    ops = (each if isinstance(each, Op) else open_op(number, *each) for number, each in enumerate(pending))
    return kept(of, "x", *done, pending=tuple(ops))


def open_op(number: int, kind: str, size: int, state: str) -> Op:
    """A pending operation; what is `accepted` or final cannot be withdrawn, all others can."""
    is_final = state == "accepted" or kind in ("credit", "restock")
    answer_by = None if is_final else SOON
    answer = 1 if kind == "claim" else None
    return Op(UUID(int=20 + number), kind, size, state, answer=answer, answer_by=answer_by, settle_by=SOON)


@pytest.mark.parametrize(
    ("of", "pending"),
    [
        ("account", [("reserve", 60, "reserved"), ("multiply", 2, "waiting")]),
        ("account", [("reserve", 40, "reserved"), ("reserve", 20, "reserved"), ("reserve", 1, "waiting")]),
        ("account", [("reserve", 60, "reserved"), ("multiply", 2, "accepted"), ("reserve", 60, "waiting")]),
        ("account", [("reserve", 20, "reserved"), ("multiply", 2, "accepted"), ("reserve", 80, "reserved")]),
        ("account", [("reserve", 20, "reserved"), ("multiply", 2, "waiting"), ("reserve", 80, "waiting")]),
        ("account", [("reserve", 20, "reserved"), ("reserve", 9, "captured"), ("reserve", 32, "waiting")]),
        ("account", [("reserve", 20, "reserved"), ("credit", 5, "credited"), ("reserve", 45, "reserved")]),
        ("account", [("receive", 5, "reserved"), ("reserve", 61, "waiting")]),
        ("account", [("receive", COINS_MAX - 60, "reserved"), ("receive", 1, "waiting")]),
        ("account", [("receive", COINS_MAX - 120, "reserved"), ("multiply", 2, "waiting")]),
        ("item", [("take", 2, "reserved"), ("take", 1, "waiting")]),
        ("item", [("take", 1, "reserved"), ("restock", 3, "restocked"), ("take", 4, "reserved")]),
        ("code", [("claim", 2, "reserved"), ("claim", 2, "waiting")]),
        ("code", [("claim", 3, "reserved"), ("claim", 3, "reserved"), ("claim", 3, "waiting")]),
    ],
)
def test_what_waits_with_need_and_what_is_certain_is_right(of: str, pending: list[tuple[str, int, str]]) -> None:
    assert not said(behind(of, *pending))


@pytest.mark.parametrize(
    ("of", "pending", "named"),
    [
        ("account", [("multiply", 2, "waiting")], "answer of multiply 2 (operation"),
        ("account", [("reserve", 60, "waiting")], "expected reserved 60, the same for all, found waiting"),
        ("account", [("reserve", 60, "reserved"), ("reserve", 61, "waiting")], "expected refused (insufficient_coins)"),
        (
            "account",
            [("reserve", 10, "reserved"), ("reserve", 50, "waiting")],
            "on 50 to 60 coins: expected reserved 50",
        ),
        ("account", [("receive", 5, "reserved"), ("receive", 5, "waiting")], "expected reserved 5, the same for all"),
        (
            "account",
            [("reserve", 40, "reserved"), ("reserve", 21, "reserved")],
            "expected refused (insufficient_coins)",
        ),
        ("account", [("reserve", 20, "reserved"), ("multiply", 2, "waiting"), ("reserve", 41, "reserved")], "on 40"),
        ("account", [("reserve", 60, "reserved"), ("credit", 5, "waiting")], "expected credited 5, the same for all"),
        ("account", [("credit", 5, "credited"), ("reserve", 5, "reserved")], "first pending operation, credit 5"),
        ("account", [("reserve", 5, "reserved"), ("multiply", 2, "multiplied")], "expected multiplied 55 on 55"),
        ("account", [("reserve", 61, "captured")], "coins surely left behind reserve 61"),
        ("account", [("reserve", 5, "reserved"), ("reserve", 5, "multiplied")], "expected captured or released or"),
        ("account", [("take", 5, "reserved")], "expected a kind of account operation, found take"),
        ("item", [("take", 2, "waiting")], "item x: answer of take 2"),
        ("item", [("take", 1, "reserved"), ("take", 2, "reserved")], "expected refused (out_of_stock) on 1"),
        ("code", [("claim", 1, "waiting")], "expected refused (used_up), the same for all, found waiting"),
        ("code", [("claim", 2, "reserved"), ("claim", 2, "reserved")], "expected refused (used_up) on 2"),
    ],
)
def test_a_needless_wait_and_an_answer_too_early_are_found(
    of: str, pending: list[tuple[str, int, str]], named: str
) -> None:
    assert named in said(behind(of, *pending))


def test_a_gap_between_possible_states_answers_what_their_bounds_do_not() -> None:
    """0 or 60 coins are left, and both answer what 30 would not: the doubling is of 60 or 0, so 120 or 0 remain."""
    waits = [("reserve", 60, "reserved"), ("multiply", 2, "accepted")]
    assert not said(behind("account", *waits, ("reserve", 120, "waiting")))
    assert "the same for all" in said(behind("account", *waits, ("reserve", 121, "waiting")))


def refused(reason: str, size: int, answer_by: datetime | None = SOON) -> Op:
    return Op(LATER, "reserve", size, "refused", 0, "order", reason=reason, answer_by=answer_by)


@pytest.mark.parametrize(
    ("op", "named"),
    [
        (refused("insufficient_coins", 60), "reserved 60"),
        (refused("insufficient_coins", 50), "expected reserved 50, found refused"),
        (refused("balance_limit", 61), "expected refused (insufficient_coins)"),
        (refused("cancelled", 60, None), "which nothing can withdraw"),
    ],
)
def test_a_refusal_behind_what_is_open_is_true_of_all_states(op: Op, named: str) -> None:
    assert named in said(behind("account", ("reserve", 10, "reserved"), op))


@pytest.mark.parametrize("op", [refused("cancelled", 60), refused("insufficient_coins", 61)])
def test_a_withdrawal_and_a_certain_refusal_behind_what_is_open_are_right(op: Op) -> None:
    assert not said(behind("account", ("reserve", 10, "reserved"), op))


@pytest.mark.parametrize(("answer_by", "state"), [(SOON, "waiting"), (None, "accepted")])
def test_what_nothing_refuses_or_withdraws_is_accepted(answer_by: datetime | None, state: str) -> None:
    in_flight = Op(LATER, "reserve", 20, "reserved", settle_by=SOON)
    doubling = Op(LAST, "multiply", 2, state, 0, "promo", answer_by=answer_by)
    assert not said(behind("account", in_flight, doubling))
    other = {"waiting": "accepted", "accepted": "waiting"}[state]
    expected = {
        "waiting": "expected waiting, since it can be withdrawn, found accepted",
        "accepted": "expected accepted, since nothing refuses or withdraws it, found waiting",
    }
    assert expected[state] in said(behind("account", in_flight, replace(doubling, state=other)))


def test_what_may_be_refused_is_not_accepted() -> None:
    room = Op(LATER, "receive", COINS_MAX - 120, "reserved", settle_by=SOON)
    doubling = Op(LAST, "multiply", 2, "accepted", 0, "promo")
    assert "since refused (balance_limit) is possible" in said(behind("account", room, doubling))
    assert not said(behind("account", room, replace(doubling, state="waiting")))


@pytest.mark.parametrize(
    ("named", "is_right"),
    [((NOBODY,), True), ((NOBODY, CREDIT), True), ((CREDIT,), False), ((PUT,), False), ((), False), ((PROMO,), False)],
)
def test_what_stands_outside_names_one_that_has_not_joined(named: tuple[UUID, ...], is_right: bool) -> None:
    """Past, in the log, or gone before it came: whatever is known has joined, but for those outside themselves."""
    outside = Op(LATER, "reserve", 500, "outside", after=named, join_by=SOON, answer_by=SOON)
    waits = Op(PUT, "reserve", 1, "reserved", settle_by=SOON)
    expected = "expected in the log, since all that it names have joined or settled, found outside"
    assert (expected not in said(behind("account", waits, outside))) == is_right


def test_two_that_name_each_other_stand_outside_and_hold_up_nobody() -> None:
    one = Op(LATER, "reserve", 60, "outside", after=(NOBODY,), join_by=SOON, answer_by=SOON)
    other = Op(NOBODY, "multiply", 2, "outside", after=(LATER,), join_by=SOON)
    assert not said(behind("account", one, other, ("reserve", 60, "reserved")))


@pytest.mark.parametrize("state", ["outside", "waiting", "reserved"])
@pytest.mark.parametrize(("late_s", "found"), [(-1, False), (OVERDUE_S - 1, False), (OVERDUE_S + 1, True)])
def test_what_is_open_long_after_its_deadline_is_found(state: str, late_s: float, found: bool) -> None:
    by = NOW - timedelta(seconds=late_s)
    late = Op(LATER, "reserve", 60, state, after=(NOBODY,), join_by=by, answer_by=by, settle_by=by)
    first = Op(LAST, "reserve", 1, "reserved", settle_by=SOON)
    late = replace(late, size=1) if state == "reserved" else late
    assert ("over since its deadline" in said(behind("account", first, late))) == found


@pytest.mark.parametrize(
    ("of", "op", "found"),
    [
        ("account", Op(LATER, "reserve", 1, "reserved"), True),
        ("item", Op(LATER, "take", 1, "reserved"), False),
        ("account", Op(LATER, "reserve", 1, "outside", after=(NOBODY,)), True),
        ("item", Op(LATER, "take", 1, "outside", after=(NOBODY,)), True),
    ],
)
def test_what_nothing_would_ever_end_is_found(of: str, op: Op, found: bool) -> None:
    """An order ends the take of its pieces; who asked for a reservation of coins may be gone for good."""
    assert (f"{op.state}: expected one, found none" in said(behind(of, op))) == found


def test_a_deadline_that_is_not_noted_is_found() -> None:
    books = behind("account", ("reserve", 1, "reserved"))
    unnoted = tuple(replace(each, deadline=None) for each in books.operations)
    assert f"expected {SOON.isoformat()}, found none" in said(replace(books, operations=unnoted))


def test_a_place_that_two_have_is_found() -> None:
    books = behind("account", ("reserve", 1, "reserved"), ("reserve", 2, "reserved"))
    rows = tuple(replace(each, place=5) if each.pending else each for each in books.operations)
    assert "places of pending operations: expected all different" in said(replace(books, operations=rows))
    early = tuple(replace(each, place=1) if each.pending else each for each in books.operations)
    assert "place of pending reserve 1" in said(replace(books, operations=early))


def test_beyond_its_bound_the_audit_finds_what_is_too_early_and_accuses_no_wait() -> None:
    """Fourteen reservations of which each may be captured: 2**14 states, and the least is none."""
    sizes = [2**each for each in range(14)]
    assert 2 ** len(sizes) > TRIED_MAX > KEPT_MAX
    room = Op(ORDER, "credit", sum(sizes), "credited", sum(sizes))
    many = [("reserve", size, "reserved") for size in sizes]
    needless = kept("account", "x", room, pending=tuple(open_op(n, *each) for n, each in enumerate(many)))
    assert not said(needless)
    last = open_op(50, "reserve", 1, "waiting")
    assert not said(kept("account", "x", room, pending=(*(open_op(n, *e) for n, e in enumerate(many)), last)))
    early = replace(last, state="reserved")
    found = said(kept("account", "x", room, pending=(*(open_op(n, *e) for n, e in enumerate(many)), early)))
    assert "answer of reserve 1" in found
    certain = replace(last, size=sum(sizes) + 1)
    assert not said(kept("account", "x", room, pending=(*(open_op(n, *e) for n, e in enumerate(many)), certain)))
