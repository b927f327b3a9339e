"""The entities that the brute force tries: those of the shop, and two made up for the tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from contracts.base import COINS_MAX
from holdfast.pending import Kind, NumberKind, Refused
from order_service.kinds import Restock, Take
from promo_service.kinds import Claim
from user_service.kinds import Bonus, Credit, Fee, Multiply, Receive, Reserve

Seats = frozenset[int]


@dataclass(frozen=True, slots=True)
class Seat(Kind[Seats]):
    """A seat: taken or released."""

    number: int

    def answer(self, state: Seats) -> str | Refused:
        return Refused("taken") if self.number in state else "reserved"

    def ends(self, state: Seats, answer: str) -> tuple[Seats, ...]:
        return state | {self.number}, state


@dataclass(frozen=True, slots=True)
class Neighbours(Kind[Seats]):
    """Two seats side by side: both taken, only the first, or none."""

    first: int

    def answer(self, state: Seats) -> str | Refused:
        return Refused("taken") if state & {self.first, self.first + 1} else "reserved"

    def ends(self, state: Seats, answer: str) -> tuple[Seats, ...]:
        return state | {self.first, self.first + 1}, state | {self.first}, state


@dataclass(frozen=True, slots=True)
class CloseRow(Kind[Seats]):
    """All seats are taken at once. The answer is how many were free."""

    def answer(self, state: Seats) -> int:
        return len(frozenset(range(4)) - state)

    def ends(self, state: Seats, answer: int) -> tuple[Seats, ...]:
        return (frozenset(range(4)),)


@dataclass(frozen=True, slots=True)
class Pay(NumberKind):
    """Captured whole, in part, or released."""

    size: int

    def answer(self, state: int) -> str | Refused:
        return "reserved" if state >= self.size else Refused("insufficient")

    def adds(self, answer: str) -> tuple[int, ...]:
        return -self.size, -(self.size // 2), 0


@dataclass(frozen=True, slots=True)
class TopUp(NumberKind):
    """Up to 10, if below. Who has less gets more, so it makes no claim."""

    def answer(self, state: int) -> int:
        return max(0, 10 - state)

    def adds(self, answer: int) -> tuple[int, ...]:
        return (answer,)

    def hull(self, least: int, greatest: int) -> None:
        return None


@dataclass(frozen=True, slots=True)
class OddOnly(NumberKind):
    """Refused between two states at which it is not, so it makes no claim."""

    def answer(self, state: int) -> str | Refused:
        return "odd" if state % 2 else Refused("even")

    def adds(self, answer: str) -> tuple[int, ...]:
        return (0,)

    def hull(self, least: int, greatest: int) -> tuple[int, int] | None:
        return None


@dataclass(frozen=True, slots=True)
class Halve(NumberKind):
    """Refused between two states at which it is not. The answer is what it adds."""

    def answer(self, state: int) -> int | Refused:
        return Refused("odd") if state % 2 else -state // 2

    def adds(self, answer: int) -> tuple[int, ...]:
        return (answer,)

    def hull(self, least: int, greatest: int) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Subject:
    """An entity to try: the states in which it may begin, and its kinds."""

    name: str
    states: Sequence[Any]
    kinds: Callable[[Random], Sequence[Kind[Any]]]


def _coins(chance: Random) -> Sequence[Kind[Any]]:
    size = chance.randrange(1, 8)
    fee = Fee(chance.choice((1, 10, 25, 50, 99, 100)))
    return [Credit(size), Bonus(size), Receive(size), Multiply(chance.choice((1, 2, 3))), fee, *[Reserve(size)] * 4]


def _coins_near_the_limit(chance: Random) -> Sequence[Kind[Any]]:
    size = chance.choice((1, 2, 3, COINS_MAX // 2, COINS_MAX // 2 + 2, COINS_MAX - 2))
    return [
        Credit(size),
        Receive(size),
        Multiply(2),
        Multiply(3),
        Fee(chance.choice((1, 50, 100))),
        *[Reserve(size)] * 3,
    ]


SUBJECTS = (
    Subject("coins", range(12), _coins),
    Subject("coins near the limit", range(COINS_MAX - 5, COINS_MAX + 1), _coins_near_the_limit),
    Subject(
        "stock",
        range(8),
        lambda chance: [*[Take(chance.randrange(1, 5))] * 3, Restock(chance.choice((-3, -1, 1, 2, 4)))],
    ),
    Subject("uses of a code", range(4), lambda chance: [Claim(chance.randrange(1, 5))]),
    Subject(
        "seats",
        [frozenset[int](), frozenset({1})],
        lambda chance: [*[Seat(chance.randrange(4))] * 3, Neighbours(chance.randrange(3)), CloseRow()],
    ),
    Subject(
        "kinds that are not monotone",
        range(14),
        lambda chance: [
            chance.choice((OddOnly(), Halve())),
            TopUp(),
            Credit(chance.randrange(1, 5)),
            *[Pay(chance.randrange(1, 9))] * 3,
        ],
    ),
)
