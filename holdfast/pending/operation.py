"""Operations: their kinds, how they stand, and what a transition reports of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

State = TypeVar("State", bound=Hashable)
Status = Literal["outside", "waiting", "reserved", "settled"]
How = Literal["answered", "captured", "released", "expired", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that says no: the operation leaves the state as it is. `reason`: why, in a word for programs."""

    reason: str


class Kind(ABC, Generic[State]):
    """One kind of operation. Immutable; it holds what the command said, such as a size."""

    __slots__ = ()

    @abstractmethod
    def answer(self, state: State) -> Hashable:
        """What one program, executing one operation at a time, answers on this state."""

    @abstractmethod
    def ends(self, state: State, answer: Any) -> tuple[State, ...]:
        """The states in which it may leave the entity with this answer, which is not `Refused`: one, if that is final;
        for a reservation captured, captured in part, released last. Their number depends on the answer alone.
        """

    def adds(self, answer: Any) -> tuple[int, ...] | None:
        """What it may add to a number, in the order of `ends`; None where that depends on the state."""
        return None

    def hull(self, least: Any, greatest: Any) -> tuple[Any, Any] | None:
        """Bounds of the states behind it while it waits, for all states from `least` to `greatest` before it.
        None: it makes no claim, and is answered from the exact set, as are all behind it while it waits.
        """
        return None


class NumberKind(Kind[int]):
    """A kind that adds to a number, or takes from it, an amount that its answer tells.

    It claims to be monotone: if two states get the same answer, all between them do; if neither is refused, none
    between is; and what it adds at any state lies between what it adds at those two. Try that with a test.
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


@dataclass(frozen=True, slots=True)
class Operation(Generic[State]):
    """One operation, as it is now. Times are those of one clock. Whoever sends it says:

    `kind`: None for one that was withdrawn before it arrived. `after`: those that must join the log first and have not.
    `join_by`: refused if they have not by then. `answer_by`: withdrawn if unanswered by then; None: irrevocable once it
    has joined. `settle_by`: released if unsettled by then; None: only its owner settles it. `note`: the caller's own.

    `place`: the order of the log, and of arrival outside. `status`: `outside` until it joins, `waiting` in the log,
    `reserved` if its answer leaves it several ends, `settled`. `accepted`: it waits, and is certain not to be refused.
    `end`: the index of the end that it took (-1: released); None: no effect. `reason`: why it had none.
    """

    id: Hashable
    kind: Kind[State] | None
    after: tuple[Hashable, ...] = ()
    join_by: datetime | None = None
    answer_by: datetime | None = None
    settle_by: datetime | None = None
    place: int = 0
    status: Status = "outside"
    accepted: bool = False
    answer: Hashable = None
    end: int | None = None
    how: How | None = None
    reason: str | None = None
    note: Any = None

    @property
    def is_open(self) -> bool:
        """Unanswered, or answered but unsettled."""
        return self.status != "settled"

    @property
    def is_revocable(self) -> bool:
        """Whether it may still be withdrawn while it waits."""
        return self.answer_by is not None

    @property
    def deadline(self) -> datetime | None:
        """When it ends, as it is now, if nothing else happens."""
        return {"outside": self.join_by, "waiting": self.answer_by, "reserved": self.settle_by}.get(self.status)

    def told(self, answers: set[Hashable], state: State) -> Operation[State]:
        """Itself with what is certain, given its possible answers (none: unknown): answered, accepted, or as it is."""
        if len(answers) != 1:
            # Nothing refuses it and nothing withdraws it: that part of its answer is certain.
            is_certain = answers and not self.is_revocable and not any(isinstance(each, Refused) for each in answers)
            return replace(self, accepted=True) if is_certain and not self.accepted else self
        # However the open operations end, the one-at-a-time program gives this answer.
        (answer,) = answers
        if isinstance(answer, Refused):
            return replace(self, status="settled", accepted=False, answer=answer, how="answered", reason=answer.reason)
        if self.kind and len(self.kind.ends(state, answer)) > 1:
            return replace(self, status="reserved", accepted=False, answer=answer)
        return replace(self, status="settled", accepted=False, answer=answer, how="answered", end=0)

    def possible(self, states: Iterable[State]) -> set[State]:
        """The states that are possible behind it, given those before it."""
        if self.kind is None or (self.status == "settled" and self.end is None):
            return set(states)
        behind: set[State] = set()
        for state in states:
            answer = self.kind.answer(state) if self.status == "waiting" else self.answer
            ends = (state,) if isinstance(answer, Refused) else self.kind.ends(state, answer)
            behind.update(ends if self.end is None else (ends[self.end],))
            if self.status == "waiting" and self.is_revocable:
                behind.add(state)
        return behind

    def adds(self) -> tuple[int, int] | None:
        """The least and the most that it may add, once answered; None where that depends on the state."""
        if self.kind is None or self.status == "waiting" or (self.status == "settled" and self.end is None):
            return 0, 0
        amounts = self.kind.adds(self.answer)
        if amounts and self.end is not None:
            amounts = (amounts[self.end],)
        return (min(amounts), max(amounts)) if amounts else None


@dataclass(frozen=True, slots=True)
class Line(Generic[State]):
    """An operation leaving the front of the log. `number`: 1 for the entity's first, without gaps."""

    number: int
    operation: Operation[State]
    before: State
    after: State


@dataclass(slots=True)
class Outcome(Generic[State]):
    """What a transition did, in order. `changed`: each operation that begins to wait, is accepted, answered or settled,
    as it was then. `named`: those still outside, for fewer than before. `folded`: those that left the log.
    """

    changed: list[Operation[State]] = field(default_factory=list)
    named: list[Operation[State]] = field(default_factory=list)
    folded: list[Line[State]] = field(default_factory=list)
