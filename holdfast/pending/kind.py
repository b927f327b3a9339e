"""What the author of an entity writes: one small class for each kind of operation. It knows no log and no deadline."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

State = TypeVar("State", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that says no: the operation leaves the state as it is. `reason`: why, in a word for programs."""

    reason: str


class Kind(ABC, Generic[State]):
    """One kind of operation. An instance is immutable and holds what the command said, such as a size."""

    __slots__ = ()

    @abstractmethod
    def answer(self, state: State) -> Hashable:
        """What one program, executing one operation at a time, answers on this state."""

    @abstractmethod
    def ends(self, state: State, answer: Any) -> tuple[State, ...]:
        """The states in which it may leave the entity with this answer, which is not `Refused`. One, if the answer is
        final; a reservation has several: captured first, captured in part where that is allowed, released last.
        """

    def adds(self, answer: Any) -> tuple[int, ...] | None:
        """The amounts that it may add to a number, in the order of `ends`; None where that depends on the state."""
        return None

    def hull(self, least: Any, greatest: Any) -> tuple[Any, Any] | None:
        """Bounds of the states behind it while it is unanswered, for all states from `least` to `greatest` before it.
        None: it makes no claim, and is answered from the exact set alone, as are all behind it while it waits.
        """
        return None


class NumberKind(Kind[int]):
    """A kind that adds to a number, or takes from it, an amount that its answer tells.

    It claims to be monotone: if two states get the same answer, all between them do; if neither is refused, none
    between is; and what it adds at any state lies between what it adds at those two. A kind whose answer has another
    shape overrides `hull`; a test must try the claim (`tests/unit/pending/claims.py`).
    """

    __slots__ = ()

    @abstractmethod
    def adds(self, answer: Any) -> tuple[int, ...]:
        """The amounts that it may add to the state with this answer: captured first, released (0) last."""

    def ends(self, state: int, answer: Any) -> tuple[int, ...]:
        return tuple(state + amount for amount in self.adds(answer))

    def hull(self, least: int, greatest: int) -> tuple[int, int] | None:
        answers = (self.answer(least), self.answer(greatest))
        amounts = [amount for each in answers for amount in ((0,) if isinstance(each, Refused) else self.adds(each))]
        return least + min(amounts), greatest + max(amounts)
