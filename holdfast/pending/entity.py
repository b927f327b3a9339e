"""An entity with its pending operations, and the transitions that one event can make."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Generic

from holdfast.pending.kind import State
from holdfast.pending.log import Hull, Log, walk
from holdfast.pending.operation import Operation, Outcome

OVERDUE = {"outside": "named_missing", "waiting": "wait_deadline_passed", "reserved": "deadline_passed"}
"""Why an operation ends at its deadline, by its status till then."""


class Entity(Generic[State]):
    """The state before the first open operation, the log from there on, and operations that have not joined it yet.

    Each transition lets every deadline up to `now` have its effect first. It returns what it did; where it raises
    `ValueError`, or `KeyError` for an unknown id, it has done nothing. `places`, `lines`: how many operations
    arrived, and left the log, so far. `past`: settled operations, as far as they are known here; what leaves the log is
    added.
    """

    def __init__(self, state: State, places: int = 0, lines: int = 0, pending: Iterable[Operation[State]] = ()) -> None:
        self.places, self.lines = places, lines
        self.past: dict[Hashable, Operation[State]] = {}
        self._log: Log[State] = Log(state)
        self._outside: dict[Hashable, Operation[State]] = {}
        self._earliest: datetime | None = None
        for operation in sorted(pending, key=lambda each: each.place):
            if operation.status == "outside":
                self._outside[operation.id] = operation
            else:
                self._log.append(operation)
            self._note_deadline(operation)

    @property
    def state(self) -> State:
        """Everything before the first open operation."""
        return self._log.state

    @property
    def hull(self) -> Hull | None:
        """Bounds of the states that are possible behind the whole log; None if a kind in it makes no claim."""
        return self._log.hull_behind(len(self._log.runs) - 1)

    @property
    def bounds(self) -> tuple[Any, Any] | None:
        """The least and the greatest of these states: exact where the set of them is small, else the hull; or None."""
        hull = self.hull
        states: Any = None if hull and hull.is_reached else self._log.possible()
        return (min(states), max(states)) if states else hull and (hull.least, hull.greatest)

    def __len__(self) -> int:
        """How many operations are pending."""
        return len(self._log) + len(self._outside)

    def __iter__(self) -> Iterator[Operation[State]]:
        """The pending operations: the log in its order, then those outside."""
        yield from self._log
        yield from self._outside.values()

    def find(self, operation_id: Hashable) -> Operation[State] | None:
        """The operation, pending or past."""
        return self._log.find(operation_id) or self._outside.get(operation_id) or self.past.get(operation_id)

    def arrive(self, operation: Operation[State], now: datetime) -> Outcome[State]:
        """A new operation arrives, and joins the log as soon as all that it names have."""
        if operation.kind is None or (operation.after and operation.join_by is None):
            raise ValueError(f"{operation.id}: it needs a kind, and with `after` a time by which it joins")
        outcome = self._pass_time_for(operation, now)
        self.places += 1
        self._outside[operation.id] = arrived = replace(operation, place=self.places)
        self._join(outcome)
        if arrived := self._outside.get(operation.id):  # type: ignore[assignment]
            outcome.changed.append(arrived)
            self._note_deadline(arrived)
        return outcome

    def refuse(self, operation: Operation[State], now: datetime, reason: str) -> Outcome[State]:
        """A new operation is refused before it arrives, for a reason that is not in the state."""
        outcome = self._pass_time_for(operation, now)
        self._settle(replace(operation, status="settled", how="withdrawn", reason=reason), outcome)
        return outcome

    def settle(self, operation_id: Hashable, now: datetime, end: int = 0, note: Any = None) -> Outcome[State]:
        """A reservation takes one of its ends: 0 is captured whole, the last is released. Others stay as they are."""
        known = self.find(operation_id)
        if known is None:
            raise KeyError(operation_id)
        if known.kind and known.status == "reserved" and end >= len(known.kind.ends(self.state, known.answer)):
            raise ValueError(f"{operation_id}: it has no end {end}")
        return self._end(operation_id, "reserved", now, end=end, how="captured", note=note)

    def release(self, operation_id: Hashable, now: datetime, reason: str, note: Any = None) -> Outcome[State]:
        """A reservation is given up. Others stay as they are."""
        return self._end(operation_id, "reserved", now, end=-1, how="released", reason=reason, note=note)

    def withdraw(self, operation_id: Hashable, now: datetime, reason: str, note: Any = None) -> Outcome[State]:
        """An unanswered operation ends without effect, unless it is irrevocable and has joined. One that has not
        arrived is known as refused when it does. Others stay as they are.
        """
        return self._end(operation_id, "waiting", now, how="withdrawn", reason=reason, note=note)

    def pass_time(self, now: datetime) -> Outcome[State]:
        """Let every deadline up to `now` have its effect, in the order of the deadlines."""
        outcome: Outcome[State] = Outcome()
        while self._earliest and self._earliest <= now:
            due = sorted((each.deadline, each.place, each.id) for each in self if each.deadline)
            seen = len(outcome.changed)
            for number, (deadline, _, operation_id) in enumerate(due):
                # What was answered or joined meanwhile may be due now, too: look again.
                if deadline > now or len(outcome.changed) > seen + number:
                    break
                known = self.find(operation_id)
                assert known is not None
                overdue = replace(known, status="settled", how="withdrawn", reason=OVERDUE[known.status])
                self._settle(
                    replace(overdue, how="expired", end=-1) if known.status == "reserved" else overdue, outcome
                )
            self._earliest = min((each.deadline for each in self if each.deadline), default=None)
        return outcome

    def _pass_time_for(self, operation: Operation[State], now: datetime) -> Outcome[State]:
        if self.find(operation.id):
            raise ValueError(f"{operation.id}: it has arrived before")
        return self.pass_time(now)

    def _end(self, operation_id: Hashable, status: str, now: datetime, **ended: Any) -> Outcome[State]:
        """Settle the operation if it has this status once time has passed; outside counts as waiting."""
        outcome = self.pass_time(now)
        known = self.find(operation_id) or Operation(operation_id, None)
        is_free = known.status == "outside" or (known.status == "waiting" and known.is_revocable)
        if is_free if status == "waiting" else known.status == status:
            note = ended.pop("note") or known.note
            self._settle(replace(known, status="settled", note=note, **ended), outcome)
        return outcome

    def _settle(self, settled: Operation[State], outcome: Outcome[State]) -> None:
        outcome.changed.append(settled)
        if self._log.find(settled.id):
            self._walk(self._log.put(settled) + 1, outcome)
        else:
            self._outside.pop(settled.id, None)
            self.past[settled.id] = settled
        self._join(outcome)

    def _join(self, outcome: Outcome[State]) -> None:
        """Let join, in the order of arrival, those outside for whom nothing is missing any more."""
        again = bool(self._outside)
        while again:
            again = False
            for operation in list(self._outside.values()):
                missing = tuple(each for each in operation.after if not (self._log.find(each) or each in self.past))
                if not missing:
                    del self._outside[operation.id]
                    self._log.append(replace(operation, after=(), status="waiting"))
                    self._walk(len(self._log.runs) - 1, outcome)
                    self._report_joined(operation.id, outcome)
                    again = True
                elif missing != operation.after:
                    self._outside[operation.id] = replace(operation, after=missing)
                    outcome.named.append(self._outside[operation.id])

    def _report_joined(self, operation_id: Hashable, outcome: Outcome[State]) -> None:
        joined = self._log.find(operation_id)
        if joined and joined.status == "waiting" and not joined.accepted:
            outcome.changed.append(joined)
            self._note_deadline(joined)

    def _walk(self, start: int, outcome: Outcome[State]) -> None:
        for changed in walk(self._log, start):
            outcome.changed.append(changed)
            self._note_deadline(changed)
        for line in self._log.fold(self.lines):
            self.lines, self.past[line.operation.id] = line.number, line.operation
            outcome.folded.append(line)

    def _note_deadline(self, operation: Operation[State]) -> None:
        if operation.deadline and (self._earliest is None or operation.deadline < self._earliest):
            self._earliest = operation.deadline


@dataclass(frozen=True, slots=True)
class Wait(Generic[State]):
    """What a pending operation waits for. `position`: how many of the log stand before it. `ahead`: the first open ones
    of them, or, while it stands outside, those that have not joined. `until`: when it is answered at the latest; None
    if that is for the owners of those ahead to say.
    """

    operation: Operation[State]
    position: int
    ahead: tuple[Hashable, ...]
    until: datetime | None


def waits(entity: Entity[State], ahead_max: int) -> Iterator[Wait[State]]:
    """Each pending operation, in order, in one pass; at most `ahead_max` ids are told for each."""
    ahead: list[Hashable] = []
    latest: datetime | None = datetime.min.replace(tzinfo=UTC)
    for position, operation in enumerate(entity):
        if operation.status == "outside":
            yield Wait(operation, position, operation.after[:ahead_max], operation.join_by)
            continue
        answered = min(filter(None, (latest, operation.answer_by)), default=None)
        yield Wait(operation, position, tuple(ahead[:ahead_max]), answered)
        if operation.is_open:
            ahead.append(operation.id)
            settled = operation.settle_by if operation.status == "reserved" or operation.settle_by else answered
            latest = latest and settled and max(latest, settled)
