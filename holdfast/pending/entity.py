"""An entity: the walk along its log of operations, the log, and the transitions that one event can make."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import heappop, heappush
from typing import Any, Generic, NamedTuple

from holdfast.pending.operation import OVERDUE, Kind, NumberKind, Operation, State

VISITED_MAX = 16_384
"""States that one walk looks at in exact sets. Beyond it the hull alone decides, which is late and never wrong."""


def walk(log: Log[State], start: int) -> Iterator[Operation[State]]:
    """Answer or accept each waiting operation for which that is certain. Yields those. Nothing in front of run `start`
    has changed, so its hull is kept.
    """
    exact = exact_sets(log)
    while start < len(log.runs):
        # Front to back: each sees the newest answers of all in front of it. It sees nothing of what came later, so it
        # waits only for what came before, and each of those has an end.
        hull, waiting = log.hull_behind(start - 1), log.operations[log.runs[start].head]
        told = waiting.told(possible_answers(waiting, hull, exact), log.state)
        if told is not waiting:
            log.put(told)
            yield told
        if told.status == "waiting":  # Else its run has become part of the one in front, and the next is `start` now.
            log.runs[start].before = hull
            start += 1


def possible_answers(waiting: Operation[Any], hull: Hull | None, exact: Iterator[tuple[Hashable, Any]]) -> set[Any]:
    """What the possible states answer. Where they are too many, what both ends of the hull do; empty without one."""
    kind: Any = waiting.kind
    answers = {kind.answer(end) for end in hull[:2]} if hull and kind.hull(hull.least, hull.greatest) else set[Any]()
    # The kind claims that what both ends answer, all between answer. If both ends are possible states themselves, two
    # answers are possible, too.
    if len(answers) == 1 or (answers and hull and hull.is_reached):
        return answers
    states = next((states for operation_id, states in exact if operation_id == waiting.id), ())
    return {kind.answer(state) for state in states} or answers


def exact_sets(log: Log[State]) -> Iterator[tuple[Hashable, set[State]]]:
    """Along the log, the possible states before each operation and behind the last (None), unless they are too many."""
    states, visited = {log.state}, 0
    for operation_id in list(log.operations):
        yield operation_id, states
        states = log.operations[operation_id].possible(states)  # As it is now: it may have been answered since.
        visited += len(states)
        if visited > VISITED_MAX:
            return
    yield None, states


class Hull(NamedTuple):
    """Bounds that hold every possible state. `is_reached`: both are possible states themselves."""

    least: int
    greatest: int
    is_reached: bool = True


@dataclass(slots=True)
class Run:
    """A stretch of the log: its head, a waiting operation (none in the first), and the answered ones up to the next.
    `before`: the hull in front of it. `least`, `greatest`: what its answered operations may add, together.
    """

    before: Hull | None
    head: Hashable = None
    place: int = 0
    least: int = 0
    greatest: int = 0


class Log(Generic[State]):
    """The operations from the first open one on; `state`: all before it; `past`: settled ones, as far as known here. A
    walk looks at the heads of the runs, and passes over what is in flight by its sums: their number costs nothing.
    """

    def __init__(self, state: State, operations: Iterable[Operation[State]] = ()) -> None:
        self.state, self.past = state, dict[Hashable, Operation[State]]()
        self.operations: OrderedDict[Hashable, Operation[State]] = OrderedDict()
        self.runs = [Run(Hull(state, state) if isinstance(state, int) and type(state) is int else None)]
        for each in operations:
            self.put(each)

    def hull_behind(self, index: int) -> Hull | None:
        """The hull behind a run; None where the state is no number, or a kind makes no claim."""
        run = self.runs[index]
        hull = run.before
        if hull and run.head is not None:
            head: Any = self.operations[run.head]
            if not (claim := head.kind.hull(hull.least, hull.greatest)):
                return None
            ends = {*claim, hull.least, hull.greatest} if head.is_revocable else {*claim}
            is_reached = hull.is_reached and {min(ends), max(ends)} <= head.possible({hull.least, hull.greatest})
            hull = Hull(min(ends), max(ends), is_reached)
        return hull and Hull(hull.least + run.least, hull.greatest + run.greatest, hull.is_reached)

    def put(self, operation: Operation[State]) -> int:
        """Put a new operation at the end, or one of the log as it is now. Returns the run from which to walk."""
        previous, self.operations[operation.id] = self.operations.get(operation.id), operation
        start = bisect_right(self.runs, operation.place, key=lambda run: run.place) if previous else len(self.runs)
        (least, greatest), run = operation.adds(), self.runs[start - 1]
        was = previous.adds() if previous else (0, 0)
        run.least += least - was[0]
        run.greatest += greatest - was[1]
        if not previous and operation.status == "waiting":
            self.runs.append(Run(self.hull_behind(-1), operation.id, operation.place))
        elif previous and previous.status == "waiting" != operation.status:
            # A head no more: its run becomes part of the one in front.
            start -= 1
            del self.runs[start]
            self.runs[start - 1].least += run.least
            self.runs[start - 1].greatest += run.greatest
        return start

    def fold(self) -> Iterator[Operation[State]]:
        """Move the settled front into the state. Yields what leaves the log."""
        # The hull behind the first run stays what it was, so its sums keep what is folded.
        while self.operations and (first := next(iter(self.operations.values()))).status == "settled":
            self.past[first.id] = self.operations.pop(first.id)
            (self.state,) = first.possible((self.state,))
            yield first


@dataclass(slots=True)
class Outcome(Generic[State]):
    """What a transition did, in order. `changed`: each operation that stands outside, for fewer than before, begins to
    wait, is accepted, answered or settled, as it was then. `folded`: those that left the log.
    """

    changed: list[Operation[State]] = field(default_factory=list)
    folded: list[Operation[State]] = field(default_factory=list)


class Entity(Log[State]):
    """A log, and operations that have not joined it yet. Each transition lets every deadline up to `now` have its
    effect first, and returns what it did. Where it raises `ValueError`, it has done nothing. `places`: given so far.
    """

    def __init__(self, state: State, places: int = 0, pending: Iterable[Operation[State]] = ()) -> None:
        in_order = sorted(pending, key=lambda each: each.place)
        super().__init__(state, (each for each in in_order if each.status != "outside"))
        self.places = places
        self._outside = {each.id: each for each in in_order if each.status == "outside"}  # In order of arrival.
        self._deadlines: list[tuple[datetime, int, Hashable]] = []  # A heap, also of what has changed since.
        for each in in_order:
            self._tell(each, Outcome())

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The least and the greatest number possible behind the whole log, or bounds where they are too many to try."""
        hull = self.hull_behind(-1)
        states: Any = hull and hull[:2]
        if type(self.state) is int and not (hull and hull.is_reached):
            states = dict(exact_sets(self)).get(None) or states
        return states and (min(states), max(states))

    @property
    def unanswered(self) -> int:
        """How many operations have no answer yet."""
        return len(self.runs) - 1 + len(self._outside)

    def __len__(self) -> int:
        return len(self.operations) + len(self._outside)

    def __iter__(self) -> Iterator[Operation[State]]:
        """The pending operations: the log in its order, then those outside."""
        return iter((*self.operations.values(), *self._outside.values()))

    def find(self, operation_id: Hashable) -> Operation[State] | None:
        """The operation, pending or past."""
        return self.operations.get(operation_id) or self._outside.get(operation_id) or self.past.get(operation_id)

    def arrive(self, operation: Operation[State], now: datetime, refused: str | None = None) -> Outcome[State]:
        """A new operation joins the log as soon as all that it names have. `refused`: why it ends before that."""
        wanted = NumberKind if type(self.state) is int else Kind  # A truth value is no number.
        is_new = operation.status == "outside" and not self.find(operation.id)
        if not is_new or not isinstance(operation.kind, wanted) or (operation.after and operation.join_by is None):
            raise ValueError(f"{operation.id}: not new, or not of a `{wanted.__name__}`, or `after` without `join_by`")
        outcome = self.pass_time(now)
        missing = frozenset(each for each in operation.after if not (each in self.operations or each in self.past))
        if refused is not None:
            self._settle(operation, outcome, how="withdrawn", reason=refused)
        elif missing:
            self.places += 1
            self._outside[operation.id] = outside = replace(operation, place=self.places, after=missing)
            self._tell(outside, outcome)
        else:
            self._come(operation, outcome)
        return outcome

    def settle(
        self, operation_id: Hashable, now: datetime, end: int = 0, reason: str | None = None, note: Any = None
    ) -> Outcome[State]:
        """A reservation takes one of its ends: 0 is captured whole, -1 is released. Others stay as they are."""
        known = self.find(operation_id)
        ends = known.kind.ends(self.state, known.answer) if known and known.kind and known.status == "reserved" else ()
        if ends and not -1 <= end < len(ends):
            raise ValueError(f"{operation_id}: it has no end {end}")
        outcome = self.pass_time(now)
        if known and ends and self.find(operation_id) is known:  # Else it has expired, or is reserved only now.
            how = "released" if end == -1 else "captured"
            self._settle(known, outcome, how=how, end=end, reason=reason, note=note or known.note)
        return outcome

    def withdraw(self, operation_id: Hashable, now: datetime, reason: str, note: Any = None) -> Outcome[State]:
        """A revocable operation ends without effect; an unknown one can never arrive. Others stay as they are."""
        outcome = self.pass_time(now)
        known = self.find(operation_id) or Operation(operation_id, None)
        if known.is_revocable:
            self._settle(known, outcome, how="withdrawn", reason=reason, note=note or known.note)
        return outcome

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

    def _settle(self, operation: Operation[State], outcome: Outcome[State], **ended: Any) -> None:
        settled = replace(operation, status="settled", **ended)
        if settled.id in self.operations:
            self._walk(settled, outcome)
        else:
            self._come(settled, outcome)

    def _come(self, comes: Operation[State] | None, outcome: Outcome[State]) -> None:
        """It joins or, if it is settled, is past. Then join those for whom nothing is missing any more."""
        while comes:
            self._outside.pop(comes.id, None)
            if comes.status == "outside":
                self.places += 1  # Places ascend along the log: even who had one outside gets a new one.
                self._walk(replace(comes, place=self.places, after=frozenset(), status="waiting"), outcome)
            else:
                self.past[comes.id] = comes
                self._tell(comes, outcome)
            for each in [each for each in self._outside.values() if comes.id in each.after]:
                self._outside[each.id] = fewer = replace(each, after=each.after - {comes.id})
                if fewer.after:
                    outcome.changed.append(fewer)
            comes = next((each for each in self._outside.values() if not each.after), None)

    def _walk(self, operation: Operation[State], outcome: Outcome[State]) -> None:
        """Put it into the log as it is now, and let all that follows from it happen."""
        # By their ids, since what joins may be answered or accepted at once: then it is told as that alone.
        for changed in {each.id: each for each in (operation, *walk(self, self.put(operation)))}.values():
            self._tell(changed, outcome)
        outcome.folded += self.fold()

    def _tell(self, changed: Operation[State], outcome: Outcome[State]) -> None:
        outcome.changed.append(changed)
        if deadline := changed.deadline:
            heappush(self._deadlines, (deadline, changed.place, changed.id))
            if len(self._deadlines) > 2 * len(self) + 64:
                self._deadlines = sorted((each.deadline, each.place, each.id) for each in self if each.deadline)
