"""The kinds of operations on a promo code, whose state is the number of its uses: in all, or by one account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from holdfast.pending import NumberKind, Refused

USED_UP = Refused("used_up")


@dataclass(frozen=True, slots=True)
class Claim(NumberKind):
    """A use set aside for a redemption: captured (the code took effect) or released.

    `size`: how many uses there may be, as the code said when the redemption came.
    """

    name: ClassVar[str] = "claim"
    done: ClassVar[str] = "captured"

    size: int

    def answer(self, state: int) -> int | Refused:
        return 1 if state < self.size else USED_UP

    def adds(self, answer: int) -> tuple[int, ...]:
        return (answer, 0)

    def hull(self, least: int, greatest: int) -> tuple[int, int]:
        # Only a number below `size` grows: the sum of the greatest and the most that is added would be one too many.
        return least, max(greatest, min(greatest + 1, self.size))


KINDS: Mapping[str, type[Claim]] = {Claim.name: Claim}
