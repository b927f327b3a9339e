"""An id belongs to one operation of one kind, and `after` is honoured wherever the named one stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from contracts.base import Fact
from contracts.events import CoinsRefused, OperationKind
from tests.domain.moves import play_table
from user_service.account import Account, Limits, arrive, open_account, release
from user_service.handlers import ORDERS, PROMOS
from user_service.operation import Operation

NOW = datetime(2026, 1, 1, tzinfo=UTC)
A, B, C, D = (UUID(int=number) for number in range(1, 5))


def account(coins: int) -> Account:
    opened = open_account(Account("a")).account
    return come(opened, UUID(int=99), "credit", coins)[0]


def come(
    before: Account, operation_id: UUID, kind: OperationKind, size: int, after: tuple[UUID, ...] = ()
) -> tuple[Account, tuple[Fact, ...]]:
    until = NOW + timedelta(seconds=60) if kind == "reserve" else None
    step = arrive(before, Operation(operation_id, 0, kind, size, "waiting", until), after, NOW, Limits())
    return step.account, step.facts


def test_a_refused_promo_does_not_release_an_order_of_the_same_id() -> None:
    held, _ = come(account(50), A, "reserve", 20)
    step = release(held, A, NOW, "promo_refused", "promo.refused", PROMOS)
    assert (step.account, step.facts) == (held, ())


@pytest.mark.parametrize("kind", ["multiply", "bonus"])
def test_a_cancelled_order_does_not_withdraw_a_promo_of_the_same_id(kind: OperationKind) -> None:
    held, _ = come(account(50), A, "reserve", 20)
    both, _ = come(held, B, kind, 2)
    step = release(both, B, NOW, "cancelled", "order.cancelled", ORDERS)
    assert (step.account, step.facts) == (both, ())


def test_a_promo_under_the_id_of_an_order_is_refused_so_that_its_use_is_given_back() -> None:
    held, _ = come(account(50), A, "reserve", 20)
    _, facts = come(held, A, "multiply", 2)
    assert facts == (CoinsRefused(account_id="a", operation_id=A, kind="multiply", reason="id_used"),)


def test_refusals_of_two_kinds_under_one_id_are_two_messages() -> None:
    refusals = [CoinsRefused(account_id="a", operation_id=A, kind=kind, reason="x") for kind in ("reserve", "multiply")]
    assert len({refusal.announcement_id for refusal in refusals}) == 2


def test_a_place_that_was_kept_further_back_moves_before_the_one_that_names_it() -> None:
    """C after A, D after B, then A after B: A and C wait for B, which comes last and is first."""
    log, _ = come(account(1), C, "multiply", 3, after=(A,))
    log, _ = come(log, D, "credit", 1, after=(B,))
    log, _ = come(log, A, "multiply", 2, after=(B,))
    assert [operation.id for operation in log.log] == [B, A, C, D]
    assert [operation.place for operation in log.log] == sorted(operation.place for operation in log.log)
    settled, _ = come(log, B, "credit", 5)
    assert (settled.balance, settled.log) == ((1 + 5) * 2 * 3 + 1, ())


def test_what_a_named_one_may_bring_is_reckoned_at_its_place() -> None:
    """Two doublings behind it would make too much of it, though it is little itself."""
    play_table("""
        0  open                          -> opened
        0  credit   c 1                  -> c credited 1
        1  multiply m 2 after x          -> m waits at 1 for x
        1  multiply n 2                  -> n waits at 2 for x,m
        2  credit   x 2251799813685248   -> x refused balance_limit; m multiplied by 2 +1; n multiplied by 2 +2
    """)


def test_what_comes_last_is_reckoned_last() -> None:
    """Doubled after the credit it would be one coin too many; before it, all is well."""
    play_table("""
        0  open                          -> opened
        0  credit   c 4503599627370495   -> c credited 4503599627370495
        1  reserve  a 1 for 60           -> a reserved 1 until 61
        1  multiply m 2 for 30           -> m waits at 1 for a until 31
        2  credit   d 1                  -> d credited 1
        3  release  a                    -> a released 1; m multiplied by 2 +4503599627370495
           balance 9007199254740991 | 9007199254740991..9007199254740991 |
    """)
