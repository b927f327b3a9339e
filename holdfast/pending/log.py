"""The walk along an entity's log, and the log."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Generic, NamedTuple

from holdfast.pending.operation import Line, Operation, Refused, State

VISITED_MAX = 16_384
"""States that one walk looks at in exact sets. Beyond it the hull alone decides, which is late and never wrong."""


def walk(log: Log[State], start: int) -> Iterator[Operation[State]]:
    """Answer each waiting operation, from that of run `start` on, whose answer is certain; accept each that is certain
    not to be refused. Yields those. Nothing in front of run `start` has changed, so its hull is kept.
    """
    exact = exact_sets(log)
    while start < len(log.runs):
        # Front to back: each sees the newest answers of all in front of it. It sees nothing of what came later, so it
        # waits only for what came before, and each of those has an end.
        hull, waiting = log.hull_behind(start - 1), log.operations[log.runs[start].head]
        answers = possible_answers(waiting, hull, exact)
        if len(answers) == 1:
            # However the open operations end, the one-at-a-time program gives this answer. Run `start` is now the next.
            answered = waiting.answered(answers.pop(), log.state)
            log.put(answered)
            yield answered
            continue
        refusable = not answers or any(isinstance(each, Refused) for each in answers)
        if not (refusable or waiting.is_revocable or waiting.accepted):
            # Nothing refuses it and nothing withdraws it: that part of its answer is certain.
            accepted = replace(waiting, accepted=True)
            log.put(accepted)
            yield accepted
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

    def add(self, least: int, greatest: int) -> None:
        self.least, self.greatest = self.least + least, self.greatest + greatest


class Log(Generic[State]):
    """The operations from the first open one on, by their places; `state`: everything before it. A walk looks at the
    heads of the runs, and passes over what is in flight by its sums, so that the number in flight costs nothing.
    """

    def __init__(self, state: State) -> None:
        self.state, self.runs = state, [Run()]
        self.operations: OrderedDict[Hashable, Operation[State]] = OrderedDict()
        self._is_summed = isinstance(state, int)

    def hull_behind(self, index: int) -> Hull | None:
        """The hull behind a run; None if the state is no number, or a kind in front makes no claim."""
        run = self.runs[index]
        hull = Hull(self.state, self.state) if index == 0 and isinstance(self.state, int) else run.before
        if not (hull and self._is_summed):
            return None
        least, greatest, is_reached = hull
        if index:
            head: Operation[Any] = self.operations[run.head]
            bounds = head.kind and head.kind.hull(least, greatest)
            if not bounds:
                return None
            reached = head.possible((least, greatest)) if is_reached else ()
            least, greatest = (min(bounds[0], least), max(bounds[1], greatest)) if head.is_revocable else bounds
            is_reached = least in reached and greatest in reached
        return Hull(least + run.least, greatest + run.greatest, is_reached)

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
            self.runs[index].add(ended.least, ended.greatest)
        elif previous:
            self._count(index, previous, -1)
        self._count(index, operation, 1)
        return index

    def fold(self, number: int) -> Iterator[Line[State]]:
        """Move the settled front into the state. `number`: that of the last line so far."""
        while self.operations and not (first := next(iter(self.operations.values()))).is_open:
            del self.operations[first.id]
            self._count(0, first, -1)
            before, number = self.state, number + 1
            (self.state,) = first.possible((before,))
            yield Line(number, first, before, self.state)

    def _count(self, index: int, answered: Operation[State], sign: int) -> None:
        adds = answered.adds()
        if adds is None:
            self._is_summed = False  # From here on the exact set answers.
        else:
            self.runs[index].add(sign * adds[0], sign * adds[1])
