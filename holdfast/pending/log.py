"""The walk along an entity's log, and the log."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Generic, NamedTuple

from holdfast.pending.kind import Refused, State
from holdfast.pending.operation import Line, Operation

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
        hull, waiting = log.hull_behind(start - 1), log.head(start)
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
    waiting: Operation[State], hull: Hull | None, exact: Iterator[tuple[Hashable, set[State]]]
) -> set[Hashable]:
    """What the possible states answer. Where they are too many, what both ends of the hull do; empty without one."""
    kind, answers = waiting.kind, set[Hashable]()
    assert kind is not None
    if hull and kind.hull(hull.least, hull.greatest):
        # The kind claims that what both ends answer, all between answer. If both ends are possible states themselves,
        # two answers are possible, too.
        answers = {kind.answer(hull.least), kind.answer(hull.greatest)}  # type: ignore[arg-type]
        if len(answers) == 1 or hull.is_reached:
            return answers
    states = next((states for operation_id, states in exact if operation_id == waiting.id), set[State]())
    return {kind.answer(state) for state in states} or answers


def exact_sets(log: Log[State]) -> Iterator[tuple[Hashable, set[State]]]:
    """Along the log, the possible states before each operation and behind the last (None), unless they are too many."""
    states, visited = {log.state}, 0
    for operation_id in list(log.operations):
        yield operation_id, states
        # Looked up only now: it may have been answered since.
        states = log.operations[operation_id].possible(states)
        visited += len(states)
        if visited > VISITED_MAX:
            return
    yield None, states


class Hull(NamedTuple):
    """Bounds that hold every possible state. `is_reached`: both are possible states themselves."""

    least: int
    greatest: int
    is_reached: bool = True

    def behind(self, waiting: Operation[State]) -> Hull | None:
        """The hull behind a waiting operation; None where its kind makes no claim."""
        bounds = waiting.kind and waiting.kind.hull(self.least, self.greatest)
        if not bounds:
            return None
        least, greatest = bounds
        if waiting.is_revocable:
            least, greatest = min(least, self.least), max(greatest, self.greatest)
        reached = waiting.possible((self.least, self.greatest)) if self.is_reached else ()  # type: ignore[arg-type]
        return Hull(least, greatest, least in reached and greatest in reached)


@dataclass(slots=True)
class Run:
    """A stretch of the log: its head, which is a waiting operation (none in the first run), and the answered ones up to
    the next. `before`: the hull in front of it. The others: sums of `Operation.adds` over the answered ones.
    """

    head: Hashable = None
    place: int = 0
    before: Hull | None = None
    least: int = 0
    greatest: int = 0
    unknown: int = 0

    def add(self, adds: tuple[int, int, int], sign: int = 1) -> None:
        """Put what an operation adds into the sums, or take it out (`sign` -1)."""
        least, greatest, unknown = adds
        self.least, self.greatest = self.least + sign * least, self.greatest + sign * greatest
        self.unknown += sign * unknown


class Log(Generic[State]):
    """The operations from the first open one on; `state`: everything before it. Their places ascend. A walk looks at
    the heads of the runs, and passes over what is in flight by its sums, so that the number in flight costs nothing.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.operations: OrderedDict[Hashable, Operation[State]] = OrderedDict()
        self.runs = [Run()]

    def head(self, index: int) -> Operation[State]:
        """The waiting operation with which the run begins."""
        return self.operations[self.runs[index].head]

    def hull_behind(self, index: int) -> Hull | None:
        """The hull behind a run; None if the state is no number, or a kind in front makes no claim."""
        run = self.runs[index]
        hull = run.before and run.before.behind(self.head(index))
        if index == 0 and isinstance(self.state, int):
            hull = Hull(self.state, self.state)
        if not hull or run.unknown:
            return None
        return Hull(hull.least + run.least, hull.greatest + run.greatest, hull.is_reached)

    def append(self, operation: Operation[State]) -> None:
        """Put an operation at the end."""
        if operation.status == "waiting":
            self.runs.append(Run(operation.id, operation.place, self.hull_behind(len(self.runs) - 1)))
        else:
            self.runs[-1].add(operation.adds())
        self.operations[operation.id] = operation

    def put(self, operation: Operation[State]) -> int:
        """Replace an operation of the log by itself as it is now. Returns the index of its run."""
        index = bisect_right(self.runs, operation.place, key=attrgetter("place")) - 1
        previous, self.operations[operation.id] = self.operations[operation.id], operation
        if operation.status == "waiting":
            return index
        if previous.status == "waiting":
            # No head any more: the run becomes part of the one before.
            run = self.runs.pop(index)
            index -= 1
            self.runs[index].add((run.least, run.greatest, run.unknown))
        else:
            self.runs[index].add(previous.adds(), -1)
        self.runs[index].add(operation.adds())
        return index

    def fold(self, number: int) -> Iterator[Line[State]]:
        """Move the settled front into the state; `number` is that of the last line so far."""
        unknown = self.runs[0].unknown
        while self.operations and not (first := next(iter(self.operations.values()))).is_open:
            del self.operations[first.id]
            self.runs[0].add(first.adds(), -1)
            before, number = self.state, number + 1
            (self.state,) = first.possible((before,))
            yield Line(number, first, before, self.state)
        if unknown > self.runs[0].unknown:
            # What it did to the state is known now, so there may be hulls where there were none.
            for index in range(1, len(self.runs)):
                self.runs[index].before = self.hull_behind(index - 1)
