"""Within one entity, the audit finds each way in which its rows can be wrong, and nothing in rows that are right."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from client.audit import findings_at_one_moment
from client.audit_entity import WITHDRAWALS, entity_findings
from client.audit_oracle import ORACLE, REFUSALS
from client.audit_rows import Entities, EntityRow
from client.audit_sagas import in_flight, saga_mismatches
from contracts.base import COINS_MAX
from contracts.events import CoinsRefused
from tests.client.audit_books import (
    ACCOUNTS,
    BOOKS,
    CREDIT,
    DONE,
    ITS_USE,
    LAST,
    LATER,
    NOW,
    ORDER,
    PAST,
    PROMO,
    PUT,
    SOON,
    STOCK,
    TAKEN,
    USED,
    USES,
    Op,
    kept,
    with_line,
    with_operation,
)


def said(books: Entities) -> str:
    return "\n".join(str(finding) for finding in entity_findings(books))


def test_right_books_have_no_findings() -> None:
    assert not list(findings_at_one_moment(BOOKS))
    assert not list(saga_mismatches(BOOKS))
    assert in_flight(BOOKS) == 0


@pytest.mark.parametrize(
    ("books", "named"),
    [
        (with_line(ACCOUNTS, 3, after=80), "account alice: coins after multiply 2 (line 3"),
        (with_line(ACCOUNTS, 3, before=50), "account alice: coins before multiply 2 (line 3"),
        (with_line(ACCOUNTS, 2, size=60), "answer of reserve 60"),
        (with_line(ACCOUNTS, 2, state="multiplied"), "expected captured or released or expired, found multiplied"),
        (with_line(ACCOUNTS, 1, kind="take"), "expected a kind of account operation, found take"),
        (with_line(ACCOUNTS, 2, kind="receive"), "coins after receive 20"),
        (with_line(ACCOUNTS, 2, operation_id=CREDIT), f"ledger lines of operation {CREDIT}: expected one, found more"),
        (with_line(ACCOUNTS, 3, seq=4), "ledger line's number: expected 3, found 4"),
        (with_line(ACCOUNTS, 3, operation_id=LATER), f"operation of ledger line 3: expected {LATER}, found none"),
        (
            replace(ACCOUNTS, entities=(EntityRow("alice", 61, 3, 3),)),
            "coins: expected 60 (the ledger's last), found 61",
        ),
        (replace(ACCOUNTS, entities=(EntityRow("alice", 61, 3, 3),)), "every account: sum of coins: expected 60"),
        (replace(ACCOUNTS, entities=(EntityRow("alice", 60, 3, 2),)), "ledger lines: expected 2, found 3"),
        (replace(ACCOUNTS, entities=(EntityRow("alice", 60, 4, 3),)), "places that were given: expected 3, found 4"),
        (replace(ACCOUNTS, entities=()), "coins: expected 60 (the ledger's last), found 0"),
        (replace(ACCOUNTS, ledger=ACCOUNTS.ledger[:2]), "ledger line of multiply 2"),
        (with_operation(ACCOUNTS, ORDER, answer=10), "delta -10"),
        (with_operation(ACCOUNTS, PROMO, answer=31), "answer 31"),
        (with_operation(ACCOUNTS, ORDER, asked_by="promo"), "asked by promo"),
        (with_operation(ACCOUNTS, ORDER, pending=True), "pending True"),
        (with_operation(ACCOUNTS, ORDER, place=9), "place of multiply 2 (line 3"),
        (with_operation(ACCOUNTS, ORDER, deadline=SOON), "deadline of reserve 20"),
        (with_operation(ACCOUNTS, CREDIT, kind=None), f"operation {CREDIT}, which never arrived: expected refused"),
        (with_line(STOCK, 2, after=1), "item sword: pieces after take 1 (line 2"),
        (with_line(STOCK, 2, size=4), "answer of take 4 (line 2, operation"),
        (with_line(STOCK, 1, size=2), "pieces after restock 2"),
        (with_line(USES, 1, after=2), "code c0dec0dec0de: uses after claim 10"),
        (with_line(kept("code", "x/alice", ITS_USE), 1, size=0), "code x of account alice: answer of claim 0"),
    ],
)
def test_what_is_wrong_in_one_entity_is_named(books: Entities, named: str) -> None:
    assert named in said(books)


def test_the_naive_saga_is_found() -> None:
    """(50 - 20) x 2 + 20 = 80, where one program would have reached 100 because the order failed."""
    naive = kept(
        "account",
        "alice",
        DONE[0],
        replace(DONE[2], added=30),
        replace(DONE[1], state="released", added=0, reason="order_failed"),
    )
    assert "coins after multiply 2 (line 2" in said(naive)
    assert "expected 100, found 80" in said(naive)


def one_more(of: str, op: Op) -> Entities:
    """The entity of the books with one more operation done."""
    done = {"account": DONE, "item": TAKEN, "code": (USED,)}[of]
    return kept(of, {"account": "alice", "item": "sword", "code": "x"}[of], *done, op)


@pytest.mark.parametrize(
    ("of", "op"),
    [
        ("account", Op(LATER, "credit", COINS_MAX - 60, "credited", COINS_MAX - 60)),
        ("account", Op(LATER, "credit", COINS_MAX - 59, "refused", reason="balance_limit")),
        ("account", Op(LATER, "bonus", 5, "credited", 5, "promo")),
        ("account", Op(LATER, "bonus", COINS_MAX, "refused", 0, "promo", reason="balance_limit")),
        ("account", Op(LATER, "reserve", 60, "captured", -60, "order")),
        ("account", Op(LATER, "reserve", 60, "expired", 0, "order", settle_by=PAST, reason="deadline_passed")),
        ("account", Op(LATER, "reserve", 61, "refused", 0, "order", reason="insufficient_coins")),
        ("account", Op(LATER, "receive", 7, "captured", 7, "gift")),
        ("account", Op(LATER, "receive", 7, "released", 0, "gift", reason="gift_failed")),
        ("account", Op(LATER, "receive", COINS_MAX, "refused", 0, "gift", reason="balance_limit")),
        ("account", Op(LATER, "multiply", 1000, "multiplied", 59_940, "promo", answer=59_940)),
        ("account", Op(LATER, "multiply", COINS_MAX, "refused", 0, "promo", reason="balance_limit")),
        ("account", Op(LATER, "fee", 10, "charged", -6, answer=6)),
        ("item", Op(LATER, "take", 2, "captured", -2, "order")),
        ("item", Op(LATER, "take", 2, "released", 0, "order", reason="order_failed")),
        ("item", Op(LATER, "take", 3, "refused", 0, "order", reason="out_of_stock")),
        ("item", Op(LATER, "restock", -2, "restocked", -2)),
        ("code", Op(LATER, "claim", 2, "captured", 1, "promo", answer=1)),
        ("code", Op(LATER, "claim", 2, "released", 0, "promo", answer=1, reason="insufficient_coins")),
        ("code", Op(LATER, "claim", 1, "refused", 0, "promo", reason="used_up")),
    ],
)
def test_each_kind_is_answered_as_by_one_program(of: str, op: Op) -> None:
    """Each of these is right; with one more or less of what it added, or the other answer, it is not."""
    assert not said(one_more(of, op))
    assert said(one_more(of, replace(op, added=op.added + 1)))
    assert said(one_more(of, replace(op, added=op.added - 1)))
    row = ORACLE[op.kind]
    taken, refused = replace(op, state=row.done, reason=None), replace(op, state="refused", reason=row.refusal)
    if row.refusal:
        assert "answer of" in said(one_more(of, taken if op.state == "refused" else refused))


@pytest.mark.parametrize("kind", ORACLE)
def test_each_kind_of_the_oracle_is_tried(kind: str) -> None:
    (mark,) = (each for each in test_each_kind_is_answered_as_by_one_program.pytestmark if each.name == "parametrize")  # type: ignore[attr-defined]
    assert kind in {op.kind for _, op in mark.args[1]}


@pytest.mark.parametrize(
    ("kind", "size", "asked_by", "reason"),
    [
        ("reserve", 5, "order", "cancelled"),
        ("reserve", 5, "order", "order_failed"),
        ("reserve", 5, "order", "wait_deadline_passed"),
        ("reserve", 61, "order", "cancelled"),
        ("multiply", 2, "promo", "promo_refused"),
        ("multiply", 2, "promo", "wait_deadline_passed"),
        ("reserve", 5, "gift", "gift_returned"),
        ("receive", 5, "gift", "gift_returned"),
    ],
)
def test_what_was_withdrawn_has_no_effect_on_any_balance(kind: str, size: int, asked_by: str, reason: str) -> None:
    op = Op(LATER, kind, size, "refused", 0, asked_by, reason=reason, answer_by=SOON)
    assert not said(one_more("account", op))
    assert "which nothing can withdraw" in said(one_more("account", replace(op, answer_by=None)))


@pytest.mark.parametrize(
    ("kind", "size", "asked_by", "reason", "named"),
    [
        ("reserve", 5, "order", "nonsense", "reason why reserve 5 (line 4"),
        ("reserve", 5, "order", None, "answer of reserve 5"),
        ("reserve", 5, "order", "insufficient_coins", "answer of reserve 5"),
        ("reserve", 5, "order", "promo_refused", "reason why reserve 5"),
        ("reserve", 5, "order", "pending_limit", "reason why reserve 5"),
        ("reserve", 61, "order", None, "answer of reserve 61"),
        ("reserve", 61, "order", "balance_limit", "expected refused (insufficient_coins)"),
        ("reserve", 5, "gift", "insufficient_coins", "answer of reserve 5"),
        ("multiply", 2, "promo", "balance_limit", "answer of multiply 2"),
        ("multiply", 2, "promo", "cancelled", "reason why multiply 2"),
        ("credit", 2, "commands", "cancelled", "reason why credit 2"),
    ],
)
def test_a_refusal_for_any_other_reason_is_found(
    kind: str, size: int, asked_by: str, reason: str | None, named: str
) -> None:
    op = Op(LATER, kind, size, "refused", 0, asked_by, reason=reason, answer_by=SOON)
    assert named in said(one_more("account", op))


def test_the_reasons_of_a_refusal_are_those_of_the_contract() -> None:
    """What the contract documents is in the state, ends a wait, or keeps an operation from joining the account's."""
    documented = set(re.findall("`([a-z_]+)`", CoinsRefused.__doc__ or "")) - {"after"}
    before_it_joins = {"unknown_account", "pending_limit", "id_used", "named_missing", "wait_deadline_passed"}
    in_the_state = {row.refusal for row in ORACLE.values() if row.of == "account" and row.refusal}
    assert documented == before_it_joins.union(in_the_state, *WITHDRAWALS.values())
    assert in_the_state < REFUSALS


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"state": "refused", "reason": "unknown_account"}, ""),
        ({"state": "refused", "reason": "named_missing"}, ""),
        ({"state": "refused", "reason": "cancelled", "kind": None, "size": None}, ""),
        ({"state": "refused", "reason": "insufficient_coins"}, "ledger line of reserve 5"),
        ({"state": "refused", "reason": None}, "ledger line of reserve 5"),
        ({"state": "refused", "reason": "cancelled", "place": 1, "after": (ORDER,)}, ""),
        ({"state": "refused", "reason": "cancelled", "place": 1}, "ledger line of reserve 5"),
        ({"state": "refused", "reason": "cancelled", "kind": "take"}, "a kind of account operation, found take"),
        ({"state": "captured"}, "ledger line of reserve 5"),
        ({"state": "waiting", "deadline": SOON}, "which is no longer pending: expected settled, found waiting"),
    ],
)
def test_what_is_settled_and_in_no_ledger_never_joined(values: dict[str, Any], named: str) -> None:
    (row,) = kept(
        "account", "bob", pending=(Op(LATER, "reserve", 5, "refused", 0, "order", answer_by=SOON),)
    ).operations
    changed = replace(row, **{"place": 0, "pending": False, **values})
    found = said(Entities("account", NOW, (EntityRow("bob", 0, changed.place, 0),), (changed,)))
    assert named in found if named else not found


@pytest.mark.parametrize(("settle_by", "found"), [(SOON, True), (None, True), (PAST, False), (NOW, False)])
def test_what_expired_before_its_deadline_is_found(settle_by: Any, found: bool) -> None:
    op = Op(LATER, "reserve", 5, "expired", 0, "order", settle_by=settle_by, reason="deadline_passed")
    assert ("not expired before" in said(one_more("account", op))) == found


def scarce(kind: str, size: int, first: int, second_at_s: int, state: str = "released") -> Entities:
    """One who held what there was till now, and one who was refused it `second_at_s` seconds ago."""
    of, reason, answer = ("item", "out_of_stock", None) if kind == "take" else ("code", "used_up", 1)
    at = NOW - timedelta(seconds=second_at_s)
    holder = Op(ORDER, kind, first, state, 0, "order", answer=answer, answer_by=SOON, reason="cancelled", at=NOW)
    late = Op(LATER, kind, size, "refused", 0, "order", answer_by=SOON, reason=reason, at=at)
    begun = (Op(PUT, "restock", 3, "restocked", 3, at=PAST),) if kind == "take" else ()
    return kept(of, "x", *begun, holder, late)


@pytest.mark.parametrize(
    ("books", "is_right"),
    [
        (scarce("take", 1, 3, 10), True),
        (scarce("take", 2, 2, 10), True),
        (scarce("take", 1, 2, 10), False),
        (scarce("take", 1, 3, -10), False),
        (scarce("claim", 1, 1, 10), True),
        (scarce("claim", 1, 1, -10), False),
        (scarce("claim", 2, 2, 10), False),
    ],
)
def test_a_scarce_thing_is_refused_at_once_only_while_another_has_it(books: Entities, is_right: bool) -> None:
    assert (not said(books)) == is_right
    irrevocable = replace(books, operations=tuple(replace(each, answer_by=None) for each in books.operations))
    assert "answer of" in said(irrevocable)


def test_an_account_refuses_nothing_at_once() -> None:
    books = kept(
        "account",
        "alice",
        replace(DONE[0], at=PAST),
        Op(ORDER, "reserve", 50, "released", 0, "order", answer_by=SOON, reason="cancelled", at=NOW),
        Op(LAST, "reserve", 1, "refused", 0, "order", answer_by=SOON, reason="insufficient_coins", at=PAST),
    )
    assert "answer of reserve 1 (line 3" in said(books)
