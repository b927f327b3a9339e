"""Each check of what the owners of accounts were told finds a history that cannot be, and nothing in one that can."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from client.audit_rows import Books, Entities, EntityRow, LineRow, OperationRow
from contracts.roles import Bonus
from tests.faults.gifts import Gift, astray
from tests.faults.saga import Asked, Ending
from tests.faults.serial import contradictions, histories
from tests.faults.shop import Code, Item, Kept, lost_goods, wrong_uses

CREDIT, ORDER, DOUBLE, BONUS = (UUID(int=number) for number in range(1, 5))
ASKED = {
    CREDIT: Asked("a", "credit", 50, 0.0),
    ORDER: Asked("a", "reserve", 20, 2.0, frozenset((CREDIT,))),
    DOUBLE: Asked("a", "multiply", 2, 2.1, frozenset((CREDIT, ORDER))),
    BONUS: Asked("a", "bonus", 5, 6.0, frozenset((CREDIT, ORDER, DOUBLE))),
}
"""Credited, and that was heard; then bought and doubled at once; and a bonus when all of that had ended."""
TOLD = {
    CREDIT: Ending("credit", "a", "credited", 50, "", 1.0),
    ORDER: Ending("order", "a", "completed", -20, "", 5.0),
    DOUBLE: Ending("redemption", "a", "redeemed", 30, "", 5.0),
    BONUS: Ending("redemption", "a", "redeemed", 5, "", 7.0),
}
NO_COINS = Ending("order", "a", "failed", 0, "insufficient_coins", 5.0)


def _books(balance: int, order: Iterable[UUID] = ASKED, sizes: dict[UUID, int] | None = None) -> Books:
    """Of an account whose ledger is in this order."""
    asked = {saga: replace(ASKED[saga], size=(sizes or {}).get(saga, ASKED[saga].size)) for saga in order}
    lines = [
        LineRow("a", seq, saga, each.kind, each.size, "", None, "", 0, 0)
        for seq, (saga, each) in enumerate(asked.items(), start=1)
    ]
    kept = [OperationRow("a", saga, False, 0, each.kind, each.size, "") for saga, each in asked.items()]
    return Books(Entities("account", datetime.now(UTC), (EntityRow("a", balance, 0, 0),), tuple(kept), tuple(lines)))


def test_a_history_that_can_be_is_not_found_fault_with() -> None:
    assert contradictions(ASKED, TOLD, _books(65)) == []
    failed = TOLD | {
        ORDER: replace(TOLD[ORDER], state="failed", added=0, reason="out_of_stock"),
        DOUBLE: replace(TOLD[DOUBLE], added=50),
    }
    assert contradictions(ASKED, failed, _books(105)) == []


@pytest.mark.parametrize(("saga", "added"), [(CREDIT, 49), (ORDER, -19), (BONUS, 6)])
def test_an_effect_that_was_not_asked_for_is_found(saga: UUID, added: int) -> None:
    found = contradictions(ASKED, TOLD | {saga: replace(TOLD[saga], added=added)}, _books(65))
    assert any(f"saga {saga}" in each and "told" in each for each in found)


def test_an_operation_that_was_not_asked_for_is_found() -> None:
    (found,) = contradictions(ASKED, TOLD, _books(65, sizes={ORDER: 21}))
    assert f"saga {ORDER}: asked" in found
    assert "kept ('reserve', 21)" in found


def test_the_naive_saga_has_no_serial_order() -> None:
    naive = TOLD | {ORDER: replace(TOLD[ORDER], state="failed", added=0, reason="out_of_stock")}
    (found,) = contradictions(ASKED, naive, _books(85))
    assert "no order" in found


def test_a_refusal_on_coins_that_suffice_has_no_serial_order() -> None:
    wrong = TOLD | {ORDER: NO_COINS, DOUBLE: replace(TOLD[DOUBLE], added=50)}
    (found,) = contradictions(ASKED, wrong, _books(105))
    assert "no order" in found


def test_another_balance_has_no_serial_order() -> None:
    (found,) = contradictions(ASKED, TOLD, _books(64))
    assert "no order" in found


def test_a_doubling_of_coins_that_came_only_after_it_has_no_serial_order() -> None:
    told = TOLD | {DOUBLE: replace(TOLD[DOUBLE], added=35)}
    (found,) = contradictions(ASKED, told, _books(70))
    assert "no order" in found


def test_a_place_before_what_had_ended_is_found() -> None:
    found = contradictions(ASKED, TOLD, _books(65, (CREDIT, ORDER, BONUS, DOUBLE)))
    assert f"saga {BONUS} was sent after {DOUBLE} had ended, and stands before it" in found


def test_a_place_before_what_was_named_is_found() -> None:
    (found,) = contradictions(ASKED, TOLD, _books(65, (CREDIT, DOUBLE, ORDER, BONUS)))
    assert found == f"saga {DOUBLE} named {ORDER}, and stands before it"


def test_a_place_before_what_was_named_is_found_however_late_that_came() -> None:
    late = {saga: replace(TOLD[saga], told=ASKED[ORDER].sent + 600) for saga in (ORDER, DOUBLE)}
    asked = ASKED | {BONUS: replace(ASKED[BONUS], sent=late[ORDER].told)}
    told = TOLD | late | {BONUS: replace(TOLD[BONUS], told=late[ORDER].told + 1)}
    (found,) = contradictions(asked, told, _books(65, (CREDIT, DOUBLE, ORDER, BONUS)))
    assert found == f"saga {DOUBLE} named {ORDER}, and stands before it"


def test_coins_that_were_given_and_did_not_come_are_found() -> None:
    given = [Gift(UUID(int=1), "a", "box", 7, "completed"), Gift(UUID(int=2), "a", "box", 9, "failed")]
    assert list(astray(given, {"box": 7}, "box")) == []
    for balance in (0, 6, 16):
        assert len(list(astray(given, {"box": balance}, "box"))) == 1


def test_an_account_is_searched_only_once_all_its_sagas_have_ended() -> None:
    assert histories(ASKED, TOLD).keys() == {"a"}
    assert histories(ASKED, {CREDIT: TOLD[CREDIT]}) == {}


@pytest.mark.parametrize(("left", "taken"), [(6, 3), (8, 3), (-1, 11)])
def test_goods_that_are_lost_or_sold_twice_are_found(left: int, taken: int) -> None:
    item = Item("tea", 5, 10)
    assert list(lost_goods([item], [Kept("tea", 7, 3)])) == []
    assert len(list(lost_goods([item], [Kept("tea", left, taken)]))) == 1
    assert len(list(lost_goods([item], []))) == 1


def test_goods_that_were_refused_and_are_left_are_found() -> None:
    item = Item("tea", 5, 10)
    assert list(lost_goods([item], [Kept("tea", 1, 9, refused=2)])) == []
    assert len(list(lost_goods([item], [Kept("tea", 2, 8, refused=2)]))) == 1


def test_a_use_that_was_refused_and_is_left_is_found() -> None:
    few, many = Code("few", Bonus(amount=5), uses_max=2), Code("few", Bonus(amount=5))
    assert list(wrong_uses([few], [Kept("few", 2, 2, refused=1)])) == []
    assert len(list(wrong_uses([few], [Kept("few", 1, 1, refused=1)]))) == 1
    assert len(list(wrong_uses([many], [Kept("few", 9, 9, refused=1)]))) == 1


@pytest.mark.parametrize(("uses", "held"), [(3, 3), (2, 1), (1, 2)])
def test_uses_of_a_code_that_nobody_holds_or_are_too_many_are_found(uses: int, held: int) -> None:
    few, many = Code("few", Bonus(amount=5), uses_max=2), Code("few", Bonus(amount=5))
    assert list(wrong_uses([few], [Kept("few", 2, 2)])) == []
    assert list(wrong_uses([many], [Kept("few", 9, 9)])) == []
    assert len(list(wrong_uses([few], [Kept("few", uses, held)]))) == 1
    assert len(list(wrong_uses([few], []))) == 1
