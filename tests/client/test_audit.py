"""The audit finds each way in which the books can be wrong, and nothing in books that are right."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from client.audit_account import INSUFFICIENT, WITHDRAWN, account_findings
from client.audit_rows import (
    AccountRow,
    Books,
    CodeRow,
    LeftRow,
    LineRow,
    OperationRow,
    OrderRow,
    Promos,
    RedemptionRow,
    Users,
)
from client.audit_sagas import in_flight, outbox_findings, promo_findings, saga_mismatches
from contracts.events import CoinsRefused

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CREDIT, ORDER, PROMO, LATER = (UUID(int=number) for number in range(1, 5))

LINES = (
    LineRow("alice", 1, CREDIT, "credit", 50, "credited", None, 0, 50),
    LineRow("alice", 2, ORDER, "reserve", 20, "captured", None, 50, 30),
    LineRow("alice", 3, PROMO, "multiply", 2, "multiplied", None, 30, 60),
)
PAST = (
    OperationRow("alice", CREDIT, False, 1, "credit", 50, "credited", None, 50),
    OperationRow("alice", ORDER, False, 2, "reserve", 20, "captured", None, -20),
    OperationRow("alice", PROMO, False, 3, "multiply", 2, "multiplied", None, 30),
)
USERS = Users(NOW, (AccountRow("alice", 60, 3),), PAST, LINES)
ORDERS = (OrderRow(ORDER, "alice", 20, "completed", NOW),)
REDEMPTION = RedemptionRow(PROMO, "alice", "DOUBLE", "redeemed", 30, NOW, "multiply", 2)
PROMOS = Promos((CodeRow("DOUBLE", 1),), (REDEMPTION,))
BOOKS = Books(USERS, ORDERS, PROMOS)


def said(users: Users) -> str:
    return "\n".join(str(finding) for finding in account_findings(users))


def changed(number: int, **values: object) -> Users:
    """The books with one ledger line changed, and the operation with it where it says the same."""
    lines = tuple(replace(line, **values) if line.seq == number else line for line in LINES)  # type: ignore[arg-type]
    shared = {name: value for name, value in values.items() if name in ("state", "kind", "size")}
    operations = tuple(
        replace(each, **shared) if each.place == number else each  # type: ignore[arg-type]
        for each in PAST
    )
    return replace(USERS, ledger=lines, operations=operations)


def test_right_books_have_no_findings() -> None:
    assert not said(USERS)
    assert not list(saga_mismatches(BOOKS))
    assert not list(promo_findings(PROMOS))
    assert in_flight(BOOKS) == 0


@pytest.mark.parametrize(
    ("users", "named"),
    [
        (changed(3, balance_after=80), "balance after multiply"),
        (changed(3, balance_before=50), "balance before line 3"),
        (changed(2, state="refused", reason="insufficient_coins"), "answer of reserve 20"),
        (changed(2, size=60), "answer of reserve 60"),
        (changed(1, state="refused", reason="insufficient_coins"), "answer of credit"),
        (changed(2, operation_id=CREDIT), "ledger lines of"),
        (changed(3, seq=4), "ledger line's number"),
        (changed(3, operation_id=LATER), "operation of ledger line 3"),
        (replace(USERS, accounts=(AccountRow("alice", 61, 3),)), "sum of balances"),
        (replace(USERS, accounts=(AccountRow("alice", 60, 2),)), "ledger lines"),
        (replace(USERS, accounts=()), "balance: expected 60"),
        (replace(USERS, ledger=LINES[:2]), "ledger line of operation"),
        (replace(USERS, operations=(PAST[0], replace(PAST[1], delta=-10), PAST[2])), "delta -10"),
        (replace(USERS, operations=(PAST[0], replace(PAST[1], place=9), PAST[2])), "place of multiply"),
        (replace(USERS, operations=(*PAST, replace(PAST[1], operation_id=LATER))), "ledger line of operation"),
    ],
)
def test_what_is_wrong_in_one_account_is_found(users: Users, named: str) -> None:
    assert named in said(users)


def test_the_naive_saga_is_found() -> None:
    """(50 - 20) x 2 + 20 = 80, where one program would have reached 100 because the order failed."""
    lines = (
        LINES[0],
        LineRow("alice", 2, PROMO, "multiply", 2, "multiplied", None, 50, 80),
        LineRow("alice", 3, ORDER, "reserve", 20, "released", None, 80, 80),
    )
    operations = (
        PAST[0],
        replace(PAST[2], place=2, delta=30),
        replace(PAST[1], place=3, state="released", delta=0),
    )
    users = Users(NOW, (AccountRow("alice", 80, 3),), operations, lines)
    assert "balance after multiply 2" in said(users)
    assert "expected 100, found 80" in said(users)


def refused(kind: str, size: int, reason: str | None) -> Users:
    """The books with one more operation, refused on 60 coins."""
    line = LineRow("alice", 4, LATER, kind, size, "refused", reason, 60, 60)
    row = OperationRow("alice", LATER, False, 4, kind, size, "refused", None, 0)
    return Users(NOW, (AccountRow("alice", 60, 4),), (*PAST, row), (*LINES, line))


@pytest.mark.parametrize(
    ("kind", "size", "reason"),
    [
        ("reserve", 5, "cancelled"),
        ("reserve", 5, "order_failed"),
        ("reserve", 5, "wait_deadline_passed"),
        ("multiply", 2, "promo_refused"),
        ("multiply", 2, "wait_deadline_passed"),
        ("reserve", 61, "insufficient_coins"),
        ("reserve", 61, "cancelled"),
    ],
)
def test_a_withdrawn_operation_has_no_effect_on_any_balance(kind: str, size: int, reason: str) -> None:
    assert not said(refused(kind, size, reason))


@pytest.mark.parametrize(
    ("kind", "size", "reason", "named"),
    [
        ("reserve", 5, "nonsense", "answer of reserve 5"),
        ("reserve", 5, None, "answer of reserve 5"),
        ("reserve", 5, "insufficient_coins", "answer of reserve 5"),
        ("reserve", 5, "promo_refused", "answer of reserve 5"),
        ("reserve", 5, "pending_limit", "answer of reserve 5"),
        ("reserve", 61, "nonsense", "reason why reserve 61"),
        ("reserve", 61, None, "reason why reserve 61"),
        ("multiply", 2, "insufficient_coins", "answer of multiply 2"),
        ("multiply", 2, "cancelled", "answer of multiply 2"),
        ("bonus", 2, "wait_deadline_passed", "answer of bonus 2"),
        ("credit", 2, "cancelled", "answer of credit 2"),
    ],
)
def test_a_refusal_for_any_other_reason_is_found(kind: str, size: int, reason: str | None, named: str) -> None:
    assert named in said(refused(kind, size, reason))


def test_the_reasons_of_a_refusal_are_those_of_the_contract() -> None:
    """What the contract documents is too few coins, what ends a wait, or what keeps an operation out of the log."""
    documented = set(re.findall("`([a-z_]+)`", CoinsRefused.__doc__ or ""))
    at_the_door = {"unknown_account", "balance_limit", "pending_limit", "id_used"}
    assert documented == {INSUFFICIENT, *at_the_door}.union(*WITHDRAWN.values())


@pytest.mark.parametrize(
    ("pending", "named"),
    [
        ((("reserve", 60, "reserved"), ("multiply", 2, "waiting")), ""),
        ((("reserve", 40, "reserved"), ("reserve", 20, "reserved"), ("reserve", 1, "waiting")), ""),
        ((("reserve", 40, "reserved"), ("reserve", 21, "reserved")), "coins surely left"),
        ((("credit", 5, "credited"), ("reserve", 5, "reserved")), "first pending operation"),
        ((("reserve", 60, "reserved"), ("reserve", 61, "waiting")), "answer of operation"),
        ((("reserve", 10, "reserved"), ("reserve", 50, "waiting")), "answer of operation"),
        ((("multiply", 2, "waiting"),), "answer of operation"),
        ((("reserve", 60, "named"), ("reserve", 1000, "waiting")), ""),
        ((("reserve", 60, "named"), ("credit", 5, "credited"), ("reserve", 5, "waiting")), "answer of operation"),
    ],
)
def test_pending_operations_are_covered_and_wait_only_for_what_is_uncertain(
    pending: tuple[tuple[str, int, str], ...], named: str
) -> None:
    found = said(replace(USERS, operations=(*PAST, *(pending_row(n, *each) for n, each in enumerate(pending)))))
    assert named in found if named else not found


def pending_row(number: int, kind: str, size: int, state: str) -> OperationRow:
    delta, deadline = (size, None) if kind == "credit" else (0, NOW)
    return OperationRow("alice", UUID(int=10 + number), True, 10 + number, kind, size, state, deadline, delta)


def test_what_is_open_long_after_its_deadline_is_found() -> None:
    reserved = pending_row(0, "reserve", 20, "reserved")
    late, soon = NOW - timedelta(seconds=61), NOW - timedelta(seconds=59)
    assert "over since its deadline" in said(replace(USERS, operations=(*PAST, replace(reserved, deadline=late))))
    assert not said(replace(USERS, operations=(*PAST, replace(reserved, deadline=soon))))


@pytest.mark.parametrize("state", ["named", "waiting", "reserved"])
def test_what_is_open_without_a_deadline_is_found(state: str) -> None:
    """Nothing would end it: neither its own deadline nor, where its order has failed, a release that was lost."""
    endless = replace(pending_row(0, "reserve", 1, state), deadline=None)
    found = said(replace(USERS, operations=(*PAST, endless)))
    assert f"deadline of operation {endless.operation_id}, {state}: expected one, found none" in found


def with_operation(**values: object) -> Books:
    """The books with the order's operation changed."""
    row = replace(PAST[1], **values)  # type: ignore[arg-type]
    return replace(BOOKS, users=replace(USERS, operations=(PAST[0], row, PAST[2])))


@pytest.mark.parametrize(
    ("books", "sagas"),
    [
        (replace(BOOKS, orders=(replace(ORDERS[0], state="failed"),)), {ORDER}),
        (replace(BOOKS, orders=(replace(ORDERS[0], state="cancelled"),)), {ORDER}),
        (replace(BOOKS, orders=(replace(ORDERS[0], state="reserved"),)), {ORDER}),
        (replace(BOOKS, orders=(replace(ORDERS[0], amount=19),)), {ORDER}),
        (replace(BOOKS, orders=(replace(ORDERS[0], state="confirmed", amount=19),)), {ORDER}),
        (replace(BOOKS, orders=(replace(ORDERS[0], account_id="bob"),)), {ORDER}),
        (replace(BOOKS, orders=()), {ORDER}),
        (replace(BOOKS, orders=(replace(ORDERS[0], state="confirmed"),)), set()),
        (with_operation(state="released", delta=0), {ORDER}),
        (with_operation(state="reserved", pending=True), {ORDER}),
        (replace(BOOKS, promos=replace(PROMOS, redemptions=())), {PROMO}),
        (
            replace(BOOKS, promos=replace(PROMOS, redemptions=(replace(PROMOS.redemptions[0], state="refused"),))),
            {PROMO},
        ),
        (replace(BOOKS, promos=replace(PROMOS, redemptions=(replace(PROMOS.redemptions[0], added=50),))), {PROMO}),
        (replace(BOOKS, promos=replace(PROMOS, redemptions=(replace(PROMOS.redemptions[0], size=3),))), {PROMO}),
        (replace(BOOKS, promos=replace(PROMOS, redemptions=(replace(PROMOS.redemptions[0], kind="bonus"),))), {PROMO}),
        (
            replace(BOOKS, promos=replace(PROMOS, redemptions=(replace(PROMOS.redemptions[0], state="claimed"),))),
            set(),
        ),
    ],
)
def test_services_that_disagree_on_how_a_saga_ended_are_found(books: Books, sagas: set[UUID]) -> None:
    assert {mismatch.saga for mismatch in saga_mismatches(books)} == sagas


def test_an_id_that_a_client_gave_to_a_credit_and_to_an_order_is_no_disagreement() -> None:
    cancelled = OrderRow(CREDIT, "bob", 0, "cancelled", NOW)
    refused = replace(REDEMPTION, redemption_id=CREDIT, account_id="bob", state="refused", added=None)
    books = replace(BOOKS, orders=(*ORDERS, cancelled), promos=replace(PROMOS, redemptions=(REDEMPTION, refused)))
    assert list(saga_mismatches(books)) == []


@pytest.mark.parametrize(("late_s", "found"), [(-1, False), (30, False), (61, True)])
def test_a_release_on_its_way_is_in_flight_until_long_after_its_deadline(late_s: int, found: bool) -> None:
    books = with_operation(state="reserved", pending=True, deadline=NOW - timedelta(seconds=late_s))
    books = replace(books, orders=(replace(ORDERS[0], state="failed"),))
    assert bool(list(saga_mismatches(books))) == found
    assert in_flight(books) == 1


def test_uses_of_codes_are_those_of_their_redemptions() -> None:
    assert "uses" in str(*promo_findings(replace(PROMOS, codes=(CodeRow("DOUBLE", 2),))))
    twice = (*PROMOS.redemptions, replace(PROMOS.redemptions[0], redemption_id=LATER))
    (finding,) = promo_findings(Promos((CodeRow("DOUBLE", 2),), twice))
    assert finding.what == "redemptions of code DOUBLE"
    refused = (*PROMOS.redemptions, replace(PROMOS.redemptions[0], redemption_id=LATER, state="refused"))
    assert not list(promo_findings(Promos(PROMOS.codes, refused)))


@pytest.mark.parametrize(("minutes", "findings"), [(5, 1), (0, 0)])
@pytest.mark.parametrize("known", [True, False])
def test_a_saga_that_nothing_will_end_is_found_once_it_is_old(minutes: int, findings: int, known: bool) -> None:
    users = USERS if known else replace(USERS, operations=())
    began_at = NOW - timedelta(minutes=minutes)
    order = replace(ORDERS[0], state="confirmed", placed_at=began_at)
    claimed = replace(REDEMPTION, state="claimed", added=None, claimed_at=began_at)
    open_order = Books(users, (order,), PROMOS if known else Promos((), ()))
    open_redemption = Books(users, ORDERS if known else (), Promos((CodeRow("DOUBLE", 1),), (claimed,)))
    assert len(list(saga_mismatches(open_order))) == findings
    assert len(list(saga_mismatches(open_redemption))) == findings


def test_an_id_that_was_used_for_two_accounts_is_no_saga_of_both() -> None:
    """A cancel for another account came first; the tombstone that it left there has nothing to do with the order."""
    order = OrderRow(LATER, "alice", 0, "failed", NOW)
    tombstone = OperationRow("bob", LATER, False, 0, None, 0, "refused", None, 0)
    books = replace(BOOKS, orders=(*ORDERS, order), users=replace(USERS, operations=(*PAST, tombstone)))
    assert not list(saga_mismatches(books))


def test_what_a_service_does_not_get_out_is_found() -> None:
    (found,) = outbox_findings([LeftRow("order_service", 3, NOW)])
    assert str(found) == (
        "order_service: outbox, 60 s after the commit: expected published,"
        " found 3 messages, the oldest of 2030-01-01T00:00:00+00:00"
    )
