"""What the kinds of operations on an account say of single balances."""

from __future__ import annotations

from contracts.base import COINS_MAX
from user_service.kinds import Fee, Multiply


def test_what_may_reach_the_limit_is_bounded_by_what_is_not_multiplied() -> None:
    assert Multiply(3).hull(6, COINS_MAX) == (6, COINS_MAX)
    assert Multiply(3).hull(-6, COINS_MAX) == (-18, COINS_MAX)


def test_a_fee_is_a_percentage_rounded_down() -> None:
    assert [Fee(10).answer(balance) for balance in (0, 9, 10, 19, 20)] == [0, 0, 1, 1, 2]
