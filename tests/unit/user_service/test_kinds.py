"""What the kinds of operations on an account say of balances near the limit."""

from __future__ import annotations

from contracts.base import COINS_MAX
from user_service.kinds import Multiply


def test_what_may_reach_the_limit_is_bounded_by_what_is_not_multiplied() -> None:
    assert Multiply(3).hull(6, COINS_MAX) == (6, COINS_MAX)
    assert Multiply(3).hull(-6, COINS_MAX) == (-18, COINS_MAX)
