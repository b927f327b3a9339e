"""The kinds of operations on an account, whose state is its balance in coins.

Every answer is a number of coins, or a refusal. To add a kind, write its class here and name it in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from contracts.base import COINS_MAX
from holdfast.pending import NumberKind, Refused

INSUFFICIENT = Refused("insufficient_coins")
LIMIT = Refused("balance_limit")


@dataclass(frozen=True, slots=True)
class Coins(NumberKind):
    """`name`: of the kind, in messages and tables. `done`: what its operation is when it took effect. `size`: coins,
    unless the kind says otherwise.
    """

    name: ClassVar[str]
    done: ClassVar[str]

    size: int

    def adds(self, answer: int) -> tuple[int, ...]:
        return (answer,)


class Credit(Coins):
    """Coins from outside."""

    name, done = "credit", "credited"

    def answer(self, state: int) -> int | Refused:
        return self.size if state + self.size <= COINS_MAX else LIMIT


class Bonus(Credit):
    """The coins of a promo code."""

    name = "bonus"


class Reserve(Coins):
    """Coins set aside: captured (spent) or released."""

    name, done = "reserve", "captured"

    def answer(self, state: int) -> int | Refused:
        return self.size if state >= self.size else INSUFFICIENT

    def adds(self, answer: int) -> tuple[int, ...]:
        return (-answer, 0)

    def hull(self, least: int, greatest: int) -> tuple[int, int]:
        return max(least - self.size, min(least, 0)), greatest  # It never takes what is not there.


class Receive(Credit):
    """Room set aside for coins that are to come: captured (they have come) or released."""

    name, done = "receive", "captured"

    def adds(self, answer: int) -> tuple[int, ...]:
        return (answer, 0)


class Multiply(Coins):
    """The balance becomes `size` times what it is. The answer is what that adds."""

    name, done = "multiply", "multiplied"

    def answer(self, state: int) -> int | Refused:
        return state * (self.size - 1) if state * self.size <= COINS_MAX else LIMIT

    def hull(self, least: int, greatest: int) -> tuple[int, int]:
        if greatest * self.size <= COINS_MAX:
            return least * self.size, greatest * self.size
        # Some states between may be multiplied up to the limit, the greatest is not.
        return min(least, least * self.size), max(greatest, COINS_MAX)


class Fee(Coins):
    """`size` percent of the balance, rounded down. The answer is what that takes."""

    name, done = "fee", "charged"

    def answer(self, state: int) -> int:
        return state * self.size // 100

    def adds(self, answer: int) -> tuple[int, ...]:
        return (-answer,)

    def hull(self, least: int, greatest: int) -> tuple[int, int]:
        # What is left grows with the balance, so the ends stay the ends.
        return least - self.answer(least), greatest - self.answer(greatest)


KINDS: Mapping[str, type[Coins]] = {kind.name: kind for kind in (Credit, Bonus, Reserve, Receive, Multiply, Fee)}
