"""The walk along an entity's log, and the log."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, NamedTuple

from holdfast.pending.operation import Line, Operation, State

VISITED_MAX = 16_384
"""States that one walk looks at in exact sets. Beyond it the hull alone decides, which is late and never wrong."""


def walk(log: Log[State], start: int) -> Iterator[Operation[State]]:
    """Answer or accept each waiting operation, from that of run `start` on, for which that is certain. Yields those.
    Nothing in front of run `start` has changed, so its hull is kept.
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


def possible_answers(
    waiting: Operation[Any], hull: Hull | None, exact: Iterator[tuple[Hashable, set[Any]]]
) -> set[Any]:
    """What the possible states answer. Where they are too many, what both ends of the hull do; empty without one."""
    assert waiting.kind is not None
    answers: set[Any] = set()
    if hull and waiting.kind.hull(hull.least, hull.greatest):
        # The kind claims that what both ends answer, all between answer. If both ends are possible states themselves,
        # two answers are possible, too.
        answers = {waiting.kind.answer(hull.least), waiting.kind.answer(hull.greatest)}
        if len(answers) == 1 or hull.is_reached:
            return answers
    states = next((states for operation_id, states in exact if operation_id == waiting.id), ())
    return {waiting.kind.answer(state) for state in states} or answers


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

    head: Hashable = None
    place: int = 0
    before: Hull | None = None
    least: int = 0
    greatest: int = 0


class Log(Generic[State]):
    """The operations from the first open one on, by their places; `state`: everything before it. A walk looks at the
    heads of the runs, and passes over what is in flight by its sums, so that the number in flight costs nothing.
    """

    def __init__(self, state: State) -> None:
        self.state, self.runs = state, [Run()]
        self.operations: OrderedDict[Hashable, Operation[State]] = OrderedDict()
        self._has_sums = isinstance(state, int)

    def hull_behind(self, index: int) -> Hull | None:
        """The hull behind a run; None if the state is no number, or a kind in front makes no claim."""
        run = self.runs[index]
        hull = Hull(self.state, self.state) if index == 0 and isinstance(self.state, int) else run.before
        if index and hull:
            head: Operation[Any] = self.operations[run.head]
            bounds = head.kind and head.kind.hull(hull.least, hull.greatest)
            ends = (*bounds, hull.least, hull.greatest) if bounds and head.is_revocable else bounds
            reached = head.possible((hull.least, hull.greatest)) if hull.is_reached else ()
            hull = Hull(min(ends), max(ends), {min(ends), max(ends)} <= set(reached)) if ends else None
        if not (hull and self._has_sums):
            return None
        return Hull(hull.least + run.least, hull.greatest + run.greatest, hull.is_reached)

    def put(self, operation: Operation[State]) -> int:
        """Put a new operation at the end, or one that is in the log as it is now. Returns the index of its run."""
        index = bisect_right(self.runs, operation.place, key=attrgetter("place")) - 1
        previous, self.operations[operation.id] = self.operations.get(operation.id), operation
        if operation.status == "waiting":
            if not previous:
                self.runs.append(Run(operation.id, operation.place, self.hull_behind(index)))
            return index
        if previous and previous.status == "waiting":
            # A head no more: its run becomes part of the one in front.
            ended = self.runs.pop(index)
            index -= 1
            self._add(index, (ended.least, ended.greatest))
        elif previous:
            self._add(index, previous.adds(), -1)
        self._add(index, operation.adds())
        return index

    def fold(self, number: int) -> Iterator[Line[State]]:
        """Move the settled front into the state. `number`: that of the last line so far."""
        while self.operations and not (first := next(iter(self.operations.values()))).is_open:
            del self.operations[first.id]
            self._add(0, first.adds(), -1)
            before, number = self.state, number + 1
            (self.state,) = first.possible((before,))
            yield Line(number, first, before, self.state)

    def _add(self, index: int, adds: tuple[int, int] | None, sign: int = 1) -> None:
        self._has_sums = self._has_sums and adds is not None  # From a kind on that does not just add, there are none.
        least, greatest = adds or (0, 0)
        self.runs[index].least += sign * least
        self.runs[index].greatest += sign * greatest
