"""The kinds of operations on an item, whose state is the number of pieces in stock. Every answer is a number of pieces,
or a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from holdfast.pending import NumberKind, Refused

OUT_OF_STOCK = Refused("out_of_stock")


@dataclass(frozen=True, slots=True)
class Pieces(NumberKind):
    """`name`: of the kind, in tables. `done`: what its operation is when it took effect. `size`: pieces."""

    name: ClassVar[str]
    done: ClassVar[str]

    size: int


class Take(Pieces):
    """Pieces set aside for an order: captured (sold) or released."""

    name, done = "take", "captured"

    def answer(self, state: int) -> int | Refused:
        return self.size if state >= self.size else OUT_OF_STOCK

    def adds(self, answer: int) -> tuple[int, ...]:
        return (-answer, 0)

    def hull(self, least: int, greatest: int) -> tuple[int, int]:
        return max(least - self.size, min(least, 0)), greatest  # It never takes what is not there.


class Restock(Pieces):
    """Pieces that come to the stock, or leave it (`size` below 0), by an operator's hand."""

    name, done = "restock", "restocked"

    def answer(self, state: int) -> int:
        return self.size

    def adds(self, answer: int) -> tuple[int, ...]:
        return (answer,)


KINDS: Mapping[str, type[Pieces]] = {kind.name: kind for kind in (Take, Restock)}
