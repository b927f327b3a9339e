"""What stays of an operation once it has ended, and where it stands until then: both are kept in the database."""

from __future__ import annotations

from typing import Any, cast

import pytest

from contracts.events import OperationKind
from tests.domain.moves import NO_LIMITS, Move, id_of, name_of, parse, play, play_table, time_of
from user_service.account import Account, Conflict, Line, waits_for
from user_service.operation import Operation, State


def ledger(*lines: str) -> tuple[Account, dict[str, Line]]:
    """The account after these moves, and its ledger by name."""
    account, found = Account("ada"), {}
    for line in ("0 open", "0 credit c 50", *lines):
        step = play(account, parse(line), NO_LIMITS)
        account = step.account
        found.update({name_of(each.operation.id): each for each in step.lines})
    return account, found


def ended(place: int, kind: str, size: int, state: str, **fields: Any) -> Operation:
    return Operation(id_of("a"), place, cast(OperationKind, kind), size, cast(State, state), **fields)


HOLD = "1 reserve a 20 for 9"
WAIT = ("1 reserve b 20 for 60", "1 multiply a 2 for 9")

ENDS: dict[str, tuple[tuple[str, ...], Operation]] = {
    "captured": ((HOLD, "2 capture a"), ended(2, "reserve", 20, "captured", delta=-20, cause="order.confirmed")),
    "released": (
        (HOLD, "2 release a"),
        ended(2, "reserve", 20, "released", reason="order_failed", cause="order.failed"),
    ),
    "expired": ((HOLD, "10 sweep"), ended(2, "reserve", 20, "expired", reason="deadline_passed", cause="deadline")),
    "refused": (
        ("1 reserve a 51 for 9",),
        ended(2, "reserve", 51, "refused", reason="insufficient_coins", cause="reserve"),
    ),
    "multiplied": (("1 multiply a 3 for 9",), ended(2, "multiply", 3, "multiplied", delta=100, cause="multiply")),
    "credited": (("1 bonus a 3 for 9",), ended(2, "bonus", 3, "credited", delta=3, cause="bonus")),
    "withdrawn": (
        (*WAIT, "2 cancel a", "3 release b"),
        ended(3, "multiply", 2, "refused", reason="cancelled", cause="order.cancelled"),
    ),
    "waited too long": (
        (*WAIT, "10 sweep", "11 release b"),
        ended(3, "multiply", 2, "refused", reason="wait_deadline_passed", cause="deadline"),
    ),
}


@pytest.mark.parametrize(("lines", "kept"), ENDS.values(), ids=ENDS.keys())
def test_the_ledger_keeps_how_an_operation_ended_and_which_message_ended_it(
    lines: tuple[str, ...], kept: Operation
) -> None:
    account, found = ledger(*lines)
    assert found["a"].operation == kept
    assert account.find(id_of("a")) == kept
    assert found["a"].balance_after == found["a"].balance_before + kept.delta


def test_a_tombstone_has_no_place_no_kind_and_no_deadline() -> None:
    account, found = ledger("1 cancel a")
    assert account.find(id_of("a")) == Operation(
        id_of("a"), 0, None, 0, "refused", reason="cancelled", cause="order.cancelled"
    )
    assert "a" not in found


def test_what_is_turned_away_at_the_door_is_remembered_without_a_deadline_that_would_wake_anyone() -> None:
    account = play(Account("ada"), parse("0 reserve a 20 for 9"), NO_LIMITS).account
    assert account.find(id_of("a")) == ended(0, "reserve", 20, "refused", reason="unknown_account", cause="admission")
    assert account.log == ()


def places(account: Account) -> str:
    return " ".join(f"{name_of(each.id)}{each.place}" for each in account.log)


def test_places_are_given_in_order_and_counted() -> None:
    account = play_table("""
        0  open                          -> opened
        0  credit   c 50                 -> c credited 50
        1  reserve  a 20 for 60          -> a reserved 20 until 61
        1  multiply m 2 for 60 after x,y -> m waits at 3 for a,x,y until 61
    """)
    assert (places(account), account.places) == ("a2 x3 y4 m5", 5)
    taken = play(account, parse("2 reserve y 5 for 60"), NO_LIMITS).account
    assert (places(taken), taken.places) == ("a2 x3 y4 m5", 5)


def test_a_place_that_is_kept_is_an_operation_of_which_nothing_else_is_known() -> None:
    account, _ = ledger("1 multiply m 2 after x")
    assert account.log[0] == Operation(id_of("x"), 2, None, 0, "named", time_of(31))


def test_a_place_that_moves_forward_is_kept_no_longer_than_it_was() -> None:
    account, _ = ledger(
        "0 reserve f 1 for 60", "0 multiply m 2 after a", "1 multiply n 2 after b", "5 multiply a 2 after b"
    )
    assert (places(account), account.places) == ("f2 b7 a8 m9 n10", 10)
    assert account.log[1].deadline == time_of(31)


@pytest.mark.parametrize(
    "move", [Move(1, "capture", "x"), Move(1, "capture", "c"), Move(1, "credit", "c", 51)], ids=str
)
def test_a_conflict_says_which_operation_of_which_account(move: Move) -> None:
    account, _ = ledger()
    with pytest.raises(Conflict) as conflict:
        play(account, move, NO_LIMITS)
    assert str(id_of(move.name)) in str(conflict.value)
    assert "account ada" in str(conflict.value)


def test_nobody_asks_what_an_operation_waits_for_that_is_not_in_the_log() -> None:
    with pytest.raises(KeyError, match=str(id_of("x"))):
        waits_for(Account("ada"), id_of("x"))


def test_an_account_that_is_opened_again_is_not_touched_so_that_nothing_is_written() -> None:
    account, _ = ledger("1 reserve a 20 for 9")
    assert play(account, parse("2 open"), NO_LIMITS).account is account
