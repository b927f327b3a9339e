"""Kinds of operations, and operations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

State = TypeVar("State", bound=Hashable)
OVERDUE = {"outside": "named_missing", "waiting": "wait_deadline_passed", "reserved": "deadline_passed"}
"""Why an operation ends at its deadline, by its status till then."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that says no: the operation leaves the state as it is. `reason`: why, in a word for programs."""

    reason: str


class Kind(ABC, Generic[State]):
    """One kind of operation. Immutable; it holds what the command said, such as a size."""

    @abstractmethod
    def answer(self, state: State) -> Hashable:
        """What a program that executes one operation at a time answers on this state."""

    @abstractmethod
    def ends(self, state: State, answer: Any) -> tuple[State, ...]:
        """The states in which it may leave the entity with this answer, which is not `Refused`. One: it is final. More:
        a reservation; captured first, released last. How many depends on the answer alone; it fails for no state.
        """


class NumberKind(Kind[int]):
    """A kind that adds to a number an amount that its answer tells. It claims to be monotone: if two states get the
    same answer, all between them do; if neither is refused, none between is; and what it adds at any state lies
    between what it adds at those two. Try that with a test. Without a claim, the exact set alone answers it.
    """

    @abstractmethod
    def adds(self, answer: Any) -> tuple[int, ...]:
        """The amounts that it may add to the state with this answer, in the order of `ends`."""

    def ends(self, state: int, answer: Any) -> tuple[int, ...]:
        return tuple(state + amount for amount in self.adds(answer))

    def hull(self, least: int, greatest: int) -> tuple[int, int] | None:
        """Bounds of the states behind it while it waits, given those before it. None: it makes no claim."""
        answers = (self.answer(least), self.answer(greatest))
        amounts = [amount for each in answers for amount in ((0,) if isinstance(each, Refused) else self.adds(each))]
        return least + min(amounts), greatest + max(amounts)


@dataclass(frozen=True, slots=True)
class Operation(Generic[State]):
    """One operation, as it is now. Its times are those of one clock.

    `kind`: None if withdrawn before it arrived. `after`: those that must join first and have not; it is refused at
    `join_by`. `answer_by`: withdrawn if unanswered by then; None: irrevocable once it has joined. `settle_by`: released
    if unsettled by then. `place`: the order of the log, and of arrival outside. `status`: `outside` until it joins,
    `waiting` until it is answered, `reserved` if that leaves it several ends. `accepted`: it waits, and is not refused.
    `end`: the index of the end it took (-1: released); None: no effect, `reason` tells why. `note`: the caller's own.
    """

    id: Hashable
    kind: Kind[State] | None
    after: frozenset[Hashable] = frozenset()
    join_by: datetime | None = None
    answer_by: datetime | None = None
    settle_by: datetime | None = None
    place: int = 0
    status: Literal["outside", "waiting", "reserved", "settled"] = "outside"
    accepted: bool = False
    answer: Hashable = None
    end: int | None = None
    how: Literal["answered", "captured", "released", "expired", "withdrawn"] | None = None
    reason: str | None = None
    note: Any = None

    @property
    def is_revocable(self) -> bool:
        """Whether it may still be withdrawn."""
        return self.status == "outside" or (self.status == "waiting" and self.answer_by is not None)

    @property
    def deadline(self) -> datetime | None:
        """When it ends, as it is now, if nothing else happens."""
        return {"outside": self.join_by, "waiting": self.answer_by, "reserved": self.settle_by}.get(self.status)

    def told(self, answers: set[Hashable], state: State) -> Operation[State]:
        """Itself with what is certain, given its possible answers (none: unknown): answered, accepted, or as it is."""
        match list(answers):
            # However the open operations end, the one-at-a-time program gives this answer.
            case [Refused(reason) as answer]:
                return replace(self, status="settled", answer=answer, how="answered", reason=reason)
            case [answer] if self.kind and len(self.kind.ends(state, answer)) > 1:
                return replace(self, status="reserved", accepted=False, answer=answer)
            case [answer]:
                return replace(self, status="settled", accepted=False, answer=answer, how="answered", end=0)
        if not answers or self.accepted or self.is_revocable or any(isinstance(each, Refused) for each in answers):
            return self
        return replace(self, accepted=True)  # Nothing refuses it, and nothing withdraws it.

    def possible(self, states: Collection[State]) -> set[State]:
        """The states that are possible behind it, given those before it."""
        if self.kind is None or (self.status == "settled" and self.end is None):
            return set(states)
        behind = set(states) if self.is_revocable else set[State]()
        for state in states:
            answer = self.kind.answer(state) if self.status == "waiting" else self.answer
            ends = (state,) if isinstance(answer, Refused) else self.kind.ends(state, answer)
            behind.update(ends if self.end is None else (ends[self.end],))
        return behind

    def adds(self) -> tuple[int, int]:
        """The least and the most that it may add to a number; nothing while it is unanswered."""
        if not isinstance(self.kind, NumberKind) or (self.status != "reserved" and self.end is None):
            return 0, 0
        amounts = self.kind.adds(self.answer)
        return (min(amounts), max(amounts)) if self.end is None else (amounts[self.end],) * 2
