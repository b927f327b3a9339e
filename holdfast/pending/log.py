"""The walk along an entity's log, and the log."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple

from holdfast.pending.operation import NumberKind, Operation, State

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


class Line(NamedTuple, Generic[State]):
    """An operation leaving the front of the log. `number`: 1 for the entity's first, without gaps."""

    number: int
    operation: Operation[State]
    before: State
    after: State


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
    """The operations from the first open one on, by their places; `state`: everything before it. A walk looks at the
    heads of the runs, and passes over what is in flight by its sums, so that the number in flight costs nothing.
    """

    def __init__(self, state: State, operations: Iterable[Operation[State]] = ()) -> None:
        self.state = state
        self.operations: OrderedDict[Hashable, Operation[State]] = OrderedDict()
        self.runs = [Run(Hull(state, state) if isinstance(state, int) else None)]
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
            least, greatest = min(ends), max(ends)
            is_reached = hull.is_reached and {least, greatest} <= head.possible((hull.least, hull.greatest))
            hull = Hull(least, greatest, is_reached)
        return hull and Hull(hull.least + run.least, hull.greatest + run.greatest, hull.is_reached)

    def put(self, operation: Operation[State]) -> int:
        """Put a new operation at the end, or one of the log as it is now. Returns the run from which to walk."""
        previous, self.operations[operation.id] = self.operations.get(operation.id), operation
        start = bisect_right(self.runs, operation.place, key=lambda run: run.place) if previous else len(self.runs)
        if not previous and not isinstance(operation.kind, NumberKind):
            for run in self.runs:
                run.before = None  # What it adds depends on the state: while it is here, the exact set alone decides.
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

    def fold(self, number: int) -> Iterator[Line[State]]:
        """Move the settled front into the state. `number`: that of the last line so far."""
        # The hull behind the first run stays what it was, so its sums keep what is folded.
        while self.operations and not (first := next(iter(self.operations.values()))).is_open:
            del self.operations[first.id]
            before, number = self.state, number + 1
            (self.state,) = first.possible((before,))
            yield Line(number, first, before, self.state)
