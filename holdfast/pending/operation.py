"""An operation of an entity, and what a transition reports."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, Literal

from holdfast.pending.kind import Kind, Refused, State

Status = Literal["outside", "waiting", "reserved", "settled"]
How = Literal["answered", "captured", "released", "expired", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Operation(Generic[State]):
    """One operation, as it is now. Whoever sends it says:

    `kind`: None for one that was withdrawn before it arrived. `after`: operations of the entity that must join the log
    first and have not. `join_by`: it is refused if they have not joined by then. `answer_by`: it is withdrawn if it is
    unanswered by then; None: it is irrevocable once it has joined. `settle_by`: its reservation is released if it is
    unsettled by then; None: only its owner settles it. Times are those of one clock. `note`: the caller's own.

    `place`: the order of the log, and that of arrival outside. `status`: `outside` until it joins, `waiting` in the
    log, `reserved` if its answer leaves it several ends, `settled`. `accepted`: it waits, and is certain not to be
    refused. `end`: the index of the end that it took (-1: released); None: no effect. `reason`: why it had none.
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

    def answered(self, answer: Hashable, state: State) -> Operation[State]:
        """Itself with its answer: settled if that is final, else reserved."""
        if isinstance(answer, Refused):
            return replace(self, status="settled", accepted=False, answer=answer, how="answered", reason=answer.reason)
        if self.kind and len(self.kind.ends(state, answer)) > 1:
            return replace(self, status="reserved", accepted=False, answer=answer)
        return replace(self, status="settled", accepted=False, answer=answer, how="answered", end=0)

    def possible(self, states: Iterable[State]) -> set[State]:
        """The states that are possible behind it, given those before it."""
        kind, answer, end = self.kind, self.answer, self.end
        if kind is None or (self.status == "settled" and end is None):
            return set(states)
        if end is not None:
            return {kind.ends(state, answer)[end] for state in states}
        if self.status == "reserved":
            return {each for state in states for each in kind.ends(state, answer)}
        behind: set[State] = set()
        for state in states:
            told = kind.answer(state)
            behind.update((state,) if isinstance(told, Refused) else kind.ends(state, told))
            if self.is_revocable:
                behind.add(state)
        return behind

    def adds(self) -> tuple[int, int, int]:
        """Once answered: the least and the most that it may add, and 0; or 1 where that depends on the state."""
        if self.kind is None or (self.status == "settled" and self.end is None):
            return 0, 0, 0
        amounts = self.kind.adds(self.answer)
        if amounts is None:
            return 0, 0, 1
        if self.end is not None:
            return amounts[self.end], amounts[self.end], 0
        return min(amounts), max(amounts), 0


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
    as it was then, once for each of these. `named`: those still outside, for fewer than before. `folded`: those that
    left the log.
    """

    changed: list[Operation[State]] = field(default_factory=list)
    named: list[Operation[State]] = field(default_factory=list)
    folded: list[Line[State]] = field(default_factory=list)
