"""Between services, the audit finds sagas that they ended differently, and takes none for another's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from client.audit_rows import Books, LeftRow, RedemptionRow
from client.audit_sagas import in_flight, outbox_findings, use_findings
from tests.client.audit_books import (
    BOOKS,
    CODE,
    DONE,
    ITS_USE,
    LATER,
    NOW,
    ORDER,
    PAST,
    PROMO,
    REDEMPTION,
    STOCK,
    USED,
    USES,
    joined,
    kept,
    purchase,
    sagas,
    said,
)


def redemption(state: str, effect: str | None, code: str | None, its: str | None, **values: Any) -> Books:
    """The books of one redemption in this state, with its effect and its uses in these."""
    changed = replace(DONE[2], state=effect or "")
    uses = ((CODE, replace(USED, state=code or ""), code), (f"{CODE}/alice", replace(ITS_USE, state=its or ""), its))
    added = 30 if state == "redeemed" else None
    return replace(
        BOOKS,
        accounts=kept("account", "alice", *DONE[:2], pending=(changed,) if effect else ()),
        uses=joined(*(kept("code", key, pending=(op,) if is_there else ()) for key, op, is_there in uses)),
        redemptions=(replace(REDEMPTION, **{"state": state, "added": added, "claimed_at": NOW, **values}),),
    )


@pytest.mark.parametrize(
    ("order", "coins", "pieces"),
    [
        ("placed", None, None),
        ("placed", "outside", None),
        ("placed", "waiting", None),
        ("placed", "reserved", None),
        ("placed", "refused", None),
        ("reserved", "reserved", "waiting"),
        ("reserved", "expired", "waiting"),
        ("confirmed", "reserved", "reserved"),
        ("confirmed", "captured", "reserved"),
        ("confirmed", "expired", "reserved"),
        ("completed", "captured", "captured"),
        ("failed", None, None),
        ("failed", "refused", None),
        ("failed", "released", "refused"),
        ("failed", "reserved", "released"),
        ("failed", "expired", "released"),
        ("cancelled", "waiting", None),
        ("cancelled", "released", "refused"),
    ],
)
def test_an_order_and_its_operations_agree_at_each_step(order: str, coins: str | None, pieces: str | None) -> None:
    for kind in ("instant", "counted"):
        assert said(purchase(order, coins, pieces, kind)) == ""
    assert said(purchase(order, coins, None, "external")) == ""


def test_an_order_whose_pieces_are_taken_may_be_with_whoever_hands_them_over() -> None:
    assert said(purchase("reserved", "reserved", "reserved", "counted", taken=True)) == ""


@pytest.mark.parametrize(
    ("kind", "taken", "pieces", "expected"),
    [
        ("counted", True, "waiting", "expected reserved, found waiting"),
        ("counted", True, "released", "expected reserved, found released"),
        ("counted", True, "captured", "expected reserved, found captured"),
        ("counted", True, None, "expected reserved, found none"),
        ("counted", False, "reserved", "expected outside or waiting or accepted, found reserved"),
        ("counted", False, None, "expected outside or waiting or accepted, found none"),
        ("instant", True, "reserved", "expected outside or waiting or accepted, found reserved"),
        ("external", False, "reserved", "expected none, found reserved"),
        ("external", True, "waiting", "expected none, found waiting"),
    ],
)
def test_an_order_that_is_not_answered_for_with_other_pieces_than_it_says_is_found(
    kind: str, taken: bool, pieces: str | None, expected: str
) -> None:
    books = purchase("reserved", "reserved", pieces, kind, taken=taken)
    assert f"take of order {ORDER}, which is reserved: {expected}" in said(books)
    assert sagas(books) == {ORDER}


def test_an_order_whose_id_is_that_of_a_put_has_no_take() -> None:
    put = replace(STOCK.operations[0], operation_id=ORDER)
    books = replace(purchase("failed", "released", None), stock=replace(STOCK, operations=(put,)))
    assert said(books) == ""
    assert "expected captured, found none" in said(replace(purchase("completed", "captured", None), stock=books.stock))


@pytest.mark.parametrize(
    ("order", "coins", "pieces", "named"),
    [
        ("completed", "released", "captured", "account alice: reservation of order"),
        ("completed", "reserved", "captured", "expected captured, found reserved"),
        ("completed", None, "captured", "expected captured, found none"),
        ("completed", "captured", "reserved", "item sword: take of order"),
        ("completed", "captured", "released", "expected captured, found released"),
        ("completed", "captured", None, "expected captured, found none"),
        ("confirmed", "reserved", "waiting", "expected reserved, found waiting"),
        ("confirmed", "reserved", None, "expected reserved, found none"),
        ("confirmed", "captured", "released", "expected reserved, found released"),
        ("confirmed", "captured", "captured", "expected reserved, found captured"),
        ("reserved", "captured", "waiting", "expected not captured yet, found captured"),
        ("reserved", "reserved", "reserved", "expected outside or waiting or accepted, found reserved"),
        ("placed", "captured", None, "expected not captured yet, found captured"),
        ("placed", "reserved", "reserved", "expected none, found reserved"),
        ("failed", "captured", None, "expected released, expired, refused or none, found captured"),
        ("failed", "released", "captured", "expected none or refused or released or expired, found captured"),
        ("failed", "released", "waiting", "found waiting"),
        ("cancelled", "captured", "released", "which is cancelled: expected released"),
        ("cancelled", "released", "reserved", "which is cancelled: expected none"),
    ],
)
def test_an_order_that_ended_otherwise_than_its_operations_is_found(
    order: str, coins: str | None, pieces: str | None, named: str
) -> None:
    for kind in ("instant", "counted"):
        books = purchase(order, coins, pieces, kind)
        assert named in said(books)
        assert sagas(books) == {ORDER}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"amount": 19}, "expected reserve 19, found reserve 20"),
        ({"quantity": 2}, "expected take 2, found take 1"),
        ({"account_id": "bob"}, f"order of reserve 20 (operation {ORDER}): expected known, found none"),
        ({"item": "bow"}, f"item sword: order of take 1 (operation {ORDER}): expected known, found none"),
        ({"counted": False}, "item sword: take of order"),
    ],
)
def test_an_order_of_something_else_than_its_operations_is_found(values: dict[str, Any], named: str) -> None:
    assert named in said(purchase("completed", "captured", "captured", **values))


def test_operations_of_unknown_orders_and_redemptions_are_found() -> None:
    assert f"account alice: order of reserve 20 (operation {ORDER})" in said(replace(BOOKS, orders=()))
    assert f"item sword: order of take 1 (operation {ORDER})" in said(replace(BOOKS, orders=()))
    assert f"redemption of multiply 2 (operation {PROMO})" in said(replace(BOOKS, redemptions=()))
    assert f"code c0dec0dec0de of account alice: redemption of claim 1 (operation {PROMO})" in said(
        replace(BOOKS, redemptions=(replace(REDEMPTION, account_id="bob"),))
    )


@pytest.mark.parametrize(
    ("state", "effect", "code", "its"),
    [
        ("waiting", None, None, "waiting"),
        ("waiting", None, "waiting", "reserved"),
        ("claimed", None, "reserved", "reserved"),
        ("claimed", "outside", "reserved", "reserved"),
        ("claimed", "waiting", "reserved", "reserved"),
        ("claimed", "accepted", "reserved", "reserved"),
        ("claimed", "multiplied", "reserved", "reserved"),
        ("claimed", "refused", "reserved", "reserved"),
        ("redeemed", "multiplied", "captured", "captured"),
        ("refused", None, None, None),
        ("refused", None, None, "refused"),
        ("refused", None, "refused", "released"),
        ("refused", "refused", "released", "released"),
    ],
)
def test_a_redemption_and_its_operations_agree_at_each_step(
    state: str, effect: str | None, code: str | None, its: str | None
) -> None:
    assert said(redemption(state, effect, code, its)) == ""


@pytest.mark.parametrize(
    ("state", "effect", "code", "its", "named"),
    [
        ("redeemed", "refused", "captured", "captured", "account alice: effect of redemption"),
        ("redeemed", None, "captured", "captured", "expected multiplied or credited, found none"),
        ("redeemed", "accepted", "captured", "captured", "expected multiplied or credited, found accepted"),
        ("redeemed", "multiplied", "released", "captured", "code c0dec0dec0de: use of redemption"),
        ("redeemed", "multiplied", None, "captured", "expected captured, found none"),
        ("redeemed", "multiplied", "captured", "reserved", "code c0dec0dec0de of account alice: use of redemption"),
        ("claimed", "accepted", "reserved", "waiting", "expected reserved, found waiting"),
        ("claimed", "accepted", "captured", "reserved", "expected reserved, found captured"),
        ("waiting", "multiplied", "waiting", "reserved", "expected none, since no use of the code is claimed"),
        ("waiting", None, None, "reserved", "a use that waits, or the redemption claimed or refused"),
        ("waiting", None, "captured", "waiting", "found captured"),
        ("refused", "multiplied", "released", "released", "expected refused or none, found multiplied"),
        ("refused", "refused", "reserved", "released", "expected none or refused or released or expired"),
        ("refused", "refused", "released", "captured", "found captured"),
        ("refused", None, "refused", "waiting", "found waiting"),
    ],
)
def test_a_redemption_that_ended_otherwise_than_its_operations_is_found(
    state: str, effect: str | None, code: str | None, its: str | None, named: str
) -> None:
    books = redemption(state, effect, code, its)
    assert named in said(books)
    assert sagas(books) == {PROMO}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"added": 50}, "expected 50 added, found 30 added"),
        ({"size": 3}, "expected multiply 3, found multiply 2"),
        ({"kind": "bonus"}, "expected bonus 2, found multiply 2"),
    ],
)
def test_a_redemption_of_something_else_than_its_effect_is_found(values: dict[str, Any], named: str) -> None:
    assert named in said(redemption("redeemed", "multiplied", "captured", "captured", **values))


def test_an_accounts_use_is_one() -> None:
    uses = joined(kept("code", CODE, USED), kept("code", f"{CODE}/alice", replace(ITS_USE, size=2)))
    assert "expected claim 1, found claim 2" in said(replace(BOOKS, uses=uses))


@pytest.mark.parametrize(("late_s", "found"), [(-1, False), (30, False), (61, True)])
def test_a_release_on_its_way_is_in_flight_until_long_after_its_deadline(late_s: int, found: bool) -> None:
    books = purchase("failed", "reserved", "released", until=NOW - timedelta(seconds=late_s))
    assert bool(sagas(books)) == found
    assert in_flight(books) == 1


@pytest.mark.parametrize(("minutes", "found"), [(5, True), (0, False)])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_saga_that_nothing_will_end_is_found_once_it_is_old(minutes: int, found: bool, is_known: bool) -> None:
    began_at = NOW - timedelta(minutes=minutes)
    order = purchase("confirmed", "captured" if is_known else None, "reserved")
    order = replace(order, orders=(replace(order.orders[0], placed_at=began_at),))
    effect = "multiplied" if is_known else None
    claimed = redemption("claimed", effect, "reserved", "reserved", claimed_at=began_at)
    assert bool(sagas(order)) == bool(sagas(claimed)) == found


def again(account_id: str, state: str = "redeemed") -> RedemptionRow:
    return replace(REDEMPTION, redemption_id=LATER, account_id=account_id, state=state)


def test_a_code_that_one_account_used_twice_is_found() -> None:
    (finding,) = use_findings(replace(BOOKS, redemptions=(REDEMPTION, again("alice", "claimed"))))
    assert str(finding) == "account alice: redemptions of code c0dec0dec0de: expected one, found 2"
    for state in ("refused", "waiting"):
        assert not list(use_findings(replace(BOOKS, redemptions=(REDEMPTION, again("alice", state)))))


@pytest.mark.parametrize(
    ("uses_max", "claimed", "found"), [(1, 1, True), (2, 1, False), (1, 2, False), (None, 1, False)]
)
def test_a_code_that_was_used_too_often_is_found(uses_max: int | None, claimed: int, found: bool) -> None:
    """Its claims tell how often it could be used before somebody lowered that."""
    codes = (replace(BOOKS.codes[0], uses_max=uses_max),)
    uses = kept("code", CODE, replace(USED, size=claimed))
    books = replace(BOOKS, codes=codes, uses=uses, redemptions=(REDEMPTION, again("bob")))
    assert [str(each) for each in use_findings(books)] == (
        ["code c0dec0dec0de: uses: expected at most 1, found 2"] if found else []
    )
    assert "code of redemptions: expected known" in "".join(map(str, use_findings(replace(books, codes=()))))


def test_what_is_open_anywhere_is_in_flight_once() -> None:
    assert in_flight(purchase("reserved", "reserved", "waiting")) == 1
    assert in_flight(redemption("waiting", None, "waiting", "reserved")) == 1
    assert in_flight(replace(purchase("completed", "captured", "captured"), uses=USES, stock=STOCK)) == 0


def test_what_a_service_does_not_get_out_is_found() -> None:
    (found,) = outbox_findings([LeftRow("order_service", 3, PAST)])
    assert str(found) == (
        "order_service: outbox, 60 s after the commit: expected published,"
        " found 3 messages, the oldest of 2029-12-31T23:55:00+00:00"
    )
