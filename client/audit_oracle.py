"""What one program, doing one operation at a time, answers: the audit's own word for it, from no service's code.

To add a kind of operation, add its row to `ORACLE`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from contracts.base import COINS_MAX


@dataclass(frozen=True, slots=True)
class Row:
    """A kind of operation. `of`: what it acts on. `answer`: from the state and the operation's size, the number that it
    is answered with; None where it is refused, for the reason `refusal`. `done`: how it stands once it took effect.
    `adds`: 1 if the answer is added to the state then, -1 if it is taken from it. `is_reservation`: it may also be
    released or expire, and adds nothing then.
    """

    of: str
    answer: Callable[[int, int], int | None]
    refusal: str
    done: str
    adds: int = 1
    is_reservation: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """How it may stand once it is settled and was not refused."""
        return (self.done, "released", "expired") if self.is_reservation else (self.done,)

    def behind(self, state: int, answer: int) -> tuple[int, ...]:
        """The states in which it may leave its entity with this answer."""
        return (state + self.adds * answer, state) if self.is_reservation else (state + self.adds * answer,)


def _room(coins: int, size: int) -> int | None:
    return size if coins + size <= COINS_MAX else None


def _at_hand(state: int, size: int) -> int | None:
    return size if state >= size else None


def _multiplied(coins: int, factor: int) -> int | None:
    return coins * factor - coins if coins * factor <= COINS_MAX else None


def _share(coins: int, percent: int) -> int | None:
    return coins * percent // 100


def _any(state: int, size: int) -> int | None:
    return size


def _one_more(uses: int, most: int) -> int | None:
    return 1 if uses < most else None


ORACLE: Mapping[str, Row] = {
    "credit": Row("account", _room, "balance_limit", "credited"),
    "bonus": Row("account", _room, "balance_limit", "credited"),
    "reserve": Row("account", _at_hand, "insufficient_coins", "captured", adds=-1, is_reservation=True),
    "receive": Row("account", _room, "balance_limit", "captured", is_reservation=True),
    "multiply": Row("account", _multiplied, "balance_limit", "multiplied"),
    "fee": Row("account", _share, "", "charged", adds=-1),
    "take": Row("item", _at_hand, "out_of_stock", "captured", adds=-1, is_reservation=True),
    "restock": Row("item", _any, "", "restocked"),
    "claim": Row("code", _one_more, "used_up", "captured", is_reservation=True),
}

REFUSALS = frozenset(row.refusal for row in ORACLE.values() if row.refusal)
"""Reasons that are in a state. All others are in what somebody did, or in the time."""

UNITS: Mapping[str, str] = {"account": "coins", "item": "pieces", "code": "uses"}
"""What the state of an entity counts."""
