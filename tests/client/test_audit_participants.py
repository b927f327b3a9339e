"""Sagas of services that the audit does not know are no findings; their operations are judged in their accounts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from client.audit import findings_at_one_moment
from client.audit_rows import Entities
from client.audit_sagas import in_flight, saga_mismatches
from tests.client.audit_books import (
    ACCOUNTS,
    BOOKS,
    CREDIT,
    DONE,
    LATER,
    ORDER,
    PURCHASE,
    REDEMPTION,
    SOON,
    Op,
    kept,
    purchase,
    sagas,
    said,
    with_operation,
)


def stranger(kind: str, state: str, added: int, asked_by: str = "gift") -> Entities:
    """An operation that another service asked for, or this one."""
    return kept("account", "alice", *DONE, Op(LATER, kind, 5, state, added, asked_by, settle_by=SOON))


@pytest.mark.parametrize(("kind", "state", "added"), [("reserve", "captured", -5), ("receive", "captured", 5)])
def test_what_a_stranger_asked_for_is_compared_with_no_order_and_no_redemption(
    kind: str, state: str, added: int
) -> None:
    theirs = replace(BOOKS, accounts=stranger(kind, state, added))
    assert not list(saga_mismatches(theirs))
    assert not list(findings_at_one_moment(theirs))
    for ours in ("order", "promo"):
        assert sagas(replace(BOOKS, accounts=stranger(kind, state, added, ours))) == {LATER}


def test_a_strangers_wrong_answer_is_found_in_its_account() -> None:
    wrong = replace(BOOKS, accounts=kept("account", "alice", *DONE, Op(LATER, "reserve", 61, "captured", -61, "gift")))
    assert "answer of reserve 61" in "".join(map(str, findings_at_one_moment(wrong)))


def test_a_strangers_open_operation_is_in_flight() -> None:
    waits = kept("account", "alice", *DONE, pending=(Op(LATER, "reserve", 5, "reserved", 0, "gift", settle_by=SOON),))
    assert in_flight(replace(BOOKS, accounts=waits)) == 1


@pytest.mark.parametrize("asked_by", ["gift", "commands", "promo"])
def test_the_operation_of_another_under_an_orders_id_is_not_the_orders(asked_by: str) -> None:
    """The order failed since its account had used the id; what used it may well have taken coins."""
    books = purchase("failed", "captured", None)
    theirs = with_operation(books.accounts, ORDER, asked_by=asked_by)
    assert (ORDER in sagas(replace(books, accounts=theirs))) == (asked_by == "promo")


def test_an_id_that_a_client_gave_to_two_accounts_or_kinds_is_no_saga_of_both() -> None:
    cancelled = replace(PURCHASE, order_id=CREDIT, account_id="bob", item=None, amount=0, state="cancelled")
    refused = replace(REDEMPTION, redemption_id=CREDIT, account_id="bob", state="refused", added=None)
    (gone,) = kept("account", "bob", Op(ORDER, "reserve", 0, "refused", reason="cancelled")).operations
    tombstone = replace(gone, kind=None, size=None, asked_by="", place=0)
    operations = (*ACCOUNTS.operations, tombstone)
    books = replace(
        BOOKS,
        accounts=replace(ACCOUNTS, operations=operations),
        orders=(PURCHASE, cancelled),
        redemptions=(REDEMPTION, refused),
    )
    assert said(books) == ""
    assert not list(findings_at_one_moment(books))
