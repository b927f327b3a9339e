"""An entity with its pending operations, and the transitions that one event can make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import heappop, heappush
from typing import Any, Generic

from holdfast.pending.log import Line, Log, exact_sets, walk
from holdfast.pending.operation import Operation, State

OVERDUE = {"outside": "named_missing", "waiting": "wait_deadline_passed", "reserved": "deadline_passed"}
"""Why an operation ends at its deadline, by its status till then."""


@dataclass(slots=True)
class Outcome(Generic[State]):
    """What a transition did, in order. `changed`: each operation that stands outside, for fewer than before, begins to
    wait, is accepted, answered or settled, as it was then. `folded`: those that left the log.
    """

    changed: list[Operation[State]] = field(default_factory=list)
    folded: list[Line[State]] = field(default_factory=list)


class Entity(Generic[State]):
    """The state before the first open operation, the log from there on, and operations that have not joined it yet.

    Each transition lets every deadline up to `now` have its effect first, and returns what it did. Where it raises
    `ValueError`, or `KeyError` for an unknown id, it has done nothing. `places`, `lines`: how many places were given,
    and operations left the log. `past`: settled operations, as far as they are known here.
    """

    def __init__(self, state: State, places: int = 0, lines: int = 0, pending: Iterable[Operation[State]] = ()) -> None:
        self.places, self.lines, self._log = places, lines, Log(state)
        self.past: dict[Hashable, Operation[State]] = {}
        self._outside: dict[Hashable, Operation[State]] = {}
        # Who stands outside, by each that it names; two heaps: who can join, and deadlines, also of what changed since.
        self._naming: defaultdict[Hashable, dict[Hashable, None]] = defaultdict(dict)
        self._ready: list[tuple[int, Operation[State]]] = []
        self._deadlines: list[tuple[datetime, int, Hashable]] = []
        for each in sorted(pending, key=lambda each: each.place):
            if each.status != "outside":
                self._log.put(each)
            self._tell(each, Outcome())

    @property
    def state(self) -> State:
        """Everything before the first open operation."""
        return self._log.state

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The least and the greatest number possible behind the whole log, or bounds where they are too many to try."""
        hull = self._log.hull_behind(-1)
        if isinstance(self.state, int) and not (hull and hull.is_reached):
            exact: Any = exact_sets(self._log)
            if states := dict(exact).get(None):
                return min(states), max(states)
        return hull and hull[:2]

    @property
    def unanswered(self) -> int:
        """How many operations have no answer yet."""
        return len(self._log.runs) - 1 + len(self._outside)

    def __len__(self) -> int:
        return len(self._log.operations) + len(self._outside)

    def __iter__(self) -> Iterator[Operation[State]]:
        """The pending operations: the log in its order, then those outside."""
        return iter((*self._log.operations.values(), *self._outside.values()))

    def find(self, operation_id: Hashable) -> Operation[State] | None:
        """The operation, pending or past."""
        in_log = self._log.operations.get(operation_id)
        return in_log or self._outside.get(operation_id) or self.past.get(operation_id)

    def arrive(self, operation: Operation[State], now: datetime) -> Outcome[State]:
        """A new operation arrives, and joins the log as soon as all that it names have."""
        if operation.kind is None or (operation.after and operation.join_by is None) or self.find(operation.id):
            raise ValueError(f"{operation.id}: it is not new, has no kind, or has `after` and no time to join by")
        outcome = self.pass_time(now)
        if missing := self._missing(operation):
            self.places += 1
            self._tell(replace(operation, place=self.places, after=missing), outcome)
        else:
            self._ready.append((0, operation))
        self._join(outcome)
        return outcome

    def refuse(self, operation: Operation[State], now: datetime, reason: str) -> Outcome[State]:
        """A new operation is refused before it arrives, for a reason that is not in the state."""
        if self.find(operation.id):
            raise ValueError(f"{operation.id}: it is not new")
        return self._end(operation, now, how="withdrawn", reason=reason)

    def settle(self, operation_id: Hashable, now: datetime, end: int = 0, note: Any = None) -> Outcome[State]:
        """A reservation takes one of its ends: 0 is captured whole, the last is released. Others stay as they are."""
        known = self.find(operation_id)
        if known is None:
            raise KeyError(operation_id)
        if known.status != "reserved" or known.kind is None:
            return self.pass_time(now)  # Even if that makes it a reservation: nobody knows its ends yet.
        if not 0 <= end < len(known.kind.ends(self.state, known.answer)):
            raise ValueError(f"{operation_id}: it has no end {end}")
        return self._end(known, now, note, how="captured", end=end)

    def release(self, operation_id: Hashable, now: datetime, reason: str, note: Any = None) -> Outcome[State]:
        """A reservation is given up. Others stay as they are."""
        return self._end(Operation(operation_id, None), now, note, how="released", end=-1, reason=reason)

    def withdraw(self, operation_id: Hashable, now: datetime, reason: str, note: Any = None) -> Outcome[State]:
        """An unanswered operation ends without effect, unless it is irrevocable and has joined. One that has not
        arrived is past from now on, and cannot arrive. Others stay as they are.
        """
        return self._end(Operation(operation_id, None), now, note, how="withdrawn", reason=reason)

    def pass_time(self, now: datetime) -> Outcome[State]:
        """Let every deadline up to `now` have its effect, in the order of the deadlines."""
        outcome: Outcome[State] = Outcome()
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, place, operation_id = heappop(self._deadlines)
            due = self.find(operation_id)
            if due and (due.deadline, due.place) == (deadline, place):  # Else it has changed since.
                how, end = ("expired", -1) if due.status == "reserved" else ("withdrawn", None)
                self._settle(due, outcome, how=how, end=end, reason=OVERDUE[due.status])
        return outcome

    def _end(self, new: Operation[State], now: datetime, note: Any = None, **ended: Any) -> Outcome[State]:
        outcome = self.pass_time(now)
        known = self.find(new.id) or new
        if known.is_revocable if ended["how"] == "withdrawn" else known.status == "reserved":
            self._settle(known, outcome, note=note or known.note, **ended)
        return outcome

    def _settle(self, operation: Operation[State], outcome: Outcome[State], **ended: Any) -> None:
        settled = replace(operation, status="settled", **ended)
        if settled.id in self._log.operations:
            self._walk(settled, outcome)
            return
        self.past[settled.id] = settled
        for name in self._outside.pop(settled.id, settled).after:
            self._naming[name].pop(settled.id, None)
            if not self._naming[name]:
                del self._naming[name]
        self._tell(settled, outcome)
        self._join(outcome)

    def _join(self, outcome: Outcome[State]) -> None:
        """Let join, in the order of arrival, those for whom nothing is missing any more."""
        while self._ready:
            _, operation = heappop(self._ready)
            self._outside.pop(operation.id, None)
            self.places += 1  # Places ascend along the log: even who had one outside gets a new one.
            self._walk(replace(operation, place=self.places, after=(), status="waiting"), outcome)

    def _missing(self, outside: Operation[State]) -> tuple[Hashable, ...]:
        return tuple(each for each in outside.after if not (each in self._log.operations or each in self.past))

    def _walk(self, operation: Operation[State], outcome: Outcome[State]) -> None:
        """Put it into the log as it is now, and let all that follows from it happen."""
        answered = walk(self._log, self._log.put(operation))
        # By their ids, since what joins may be answered or accepted at once: then it is told as that alone.
        for changed in {each.id: each for each in (operation, *answered)}.values():
            self._tell(changed, outcome)
        for line in self._log.fold(self.lines):
            self.lines, self.past[line.operation.id] = line.number, line.operation
            outcome.folded.append(line)
        if outcome.folded and not self._log.runs[0].before:  # The kind that made no claim may have left the log.
            self._log = Log(self.state, self._log.operations.values())

    def _tell(self, changed: Operation[State], outcome: Outcome[State]) -> None:
        outcome.changed.append(changed)
        if changed.status == "outside":
            self._outside[changed.id] = changed
            for name in changed.after:
                self._naming[name][changed.id] = None
        else:  # It has joined or is past, so that those that name it miss one fewer.
            for each in self._naming.pop(changed.id, ()):
                after = tuple(name for name in self._outside[each].after if name != changed.id)
                self._outside[each] = outside = replace(self._outside[each], after=after)
                if after:
                    outcome.changed.append(outside)
                else:
                    heappush(self._ready, (outside.place, outside))
        if deadline := changed.deadline:
            heappush(self._deadlines, (deadline, changed.place, changed.id))
            if len(self._deadlines) > 2 * len(self) + 64:
                self._deadlines = sorted((each.deadline, each.place, each.id) for each in self if each.deadline)
