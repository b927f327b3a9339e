"""The walk along an entity's log, and the log."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple

from holdfast.pending.kind import Refused, State
from holdfast.pending.operation import Line, Operation

VISITED_MAX = 16_384
"""States that one walk looks at in exact sets. Beyond it the hull alone decides, which is late and never wrong."""


def walk(log: Log[State], start: int) -> Iterator[Operation[State]]:
    """Look at each waiting operation, from that of run `start` on, and answer it if its answer is certain. Yields each
    that is answered or accepted. In front of run `start` nothing has changed, so its hull is kept, not computed again.
    """
    exact = _ExactSet(log)
    while start < len(log.runs):
        # Front to back: each sees the newest answers of all in front of it. It sees nothing of what came later, so it
        # waits only for what came before, and each of those has an end.
        hull, waiting = log.hull_behind(start - 1), log.head(start)
        answers = _answers(waiting, hull, exact)
        if len(answers) == 1:
            # Whatever becomes of the open operations, one program would have given this answer.
            answered = _answered(waiting, log.state, *answers)
            log.answer(start, answered)
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


def _answers(waiting: Operation[State], hull: Hull | None, exact: _ExactSet[State]) -> set[Hashable]:
    """What the possible states answer: by the hull if that decides, else by the exact set.

    The hull holds every possible state, so what both its ends answer is certain. If both are possible states
    themselves and answer differently, it is certain that the operation waits. None are known if there are too many.
    """
    assert waiting.kind is not None
    answers: set[Hashable] = set()
    if hull is not None:
        answers = {waiting.kind.answer(hull.least), waiting.kind.answer(hull.greatest)}  # type: ignore[arg-type]
        if len(answers) == 1 or hull.is_reached:
            return answers
    states = exact.before(waiting.id)
    return {waiting.kind.answer(state) for state in states} or answers


def _answered(waiting: Operation[State], state: State, answer: Hashable) -> Operation[State]:
    """The operation with its answer: settled if that is final, else reserved."""
    assert waiting.kind is not None
    if isinstance(answer, Refused):
        return replace(waiting, status="settled", accepted=False, answer=answer, how="answered", reason=answer.reason)
    if len(waiting.kind.ends(state, answer)) == 1:
        return replace(waiting, status="settled", accepted=False, answer=answer, how="answered", end=0)
    return replace(waiting, status="reserved", accepted=False, answer=answer)


class Hull(NamedTuple):
    """Bounds that hold every possible state. `is_reached`: both are possible states themselves."""

    least: int
    greatest: int
    is_reached: bool = True

    def behind(self, waiting: Operation[State]) -> Hull | None:
        """The hull behind an unanswered operation; None where its kind makes no claim."""
        assert waiting.kind is not None
        bounds = waiting.kind.hull(self.least, self.greatest)
        if bounds is None:
            return None
        least, greatest = bounds
        if waiting.is_revocable:
            least, greatest = min(least, self.least), max(greatest, self.greatest)
        reached = waiting.possible((self.least, self.greatest)) if self.is_reached else ()  # type: ignore[arg-type]
        return Hull(least, greatest, least in reached and greatest in reached)


@dataclass(slots=True)
class Run(Generic[State]):
    """A stretch of the log: one waiting operation, except in the first run, and the answered ones up to the next.

    `before`: the hull in front of it, as of the last walk; not kept for the first. `least`, `greatest`: the sums of
    what its answered operations may add. `others`: how many of them do not just add.
    """

    operations: dict[Hashable, Operation[State]] = field(default_factory=dict)
    before: Hull | None = None
    least: int = 0
    greatest: int = 0
    others: int = 0

    def count(self, answered: Operation[State], sign: int) -> None:
        """Put what an answered operation may add into the sums (`sign` 1), or take it out (-1)."""
        adds = answered.adds()
        if adds is None:
            self.others += sign
        else:
            self.least, self.greatest = self.least + sign * adds[0], self.greatest + sign * adds[1]


class Log(Generic[State]):
    """The operations from the first open one on; `state`: everything before it. A walk looks at the waiting one with
    which each run begins, and passes over what is in flight by its sums, so that their number costs nothing.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.runs: list[Run[State]] = [Run()]
        self._run_of: dict[Hashable, Run[State]] = {}

    def __len__(self) -> int:
        return len(self._run_of)

    def __iter__(self) -> Iterator[Operation[State]]:
        for run in self.runs:
            yield from run.operations.values()

    def find(self, operation_id: Hashable) -> Operation[State] | None:
        """The operation of this id, if it is in the log."""
        run = self._run_of.get(operation_id)
        return run.operations[operation_id] if run else None

    def head(self, index: int) -> Operation[State]:
        """The waiting operation with which the run begins."""
        return next(iter(self.runs[index].operations.values()))

    def append(self, operation: Operation[State]) -> None:
        """Put an operation at the end."""
        if operation.status == "waiting":
            self.runs.append(Run(before=self.hull_behind(len(self.runs) - 1)))
        else:
            self.runs[-1].count(operation, 1)
        self.runs[-1].operations[operation.id] = operation
        self._run_of[operation.id] = self.runs[-1]

    def put(self, operation: Operation[State]) -> int:
        """Replace an operation of the log by itself as it is now. Returns the index of its run."""
        run = self._run_of[operation.id]
        index = next(index for index, each in enumerate(self.runs) if each is run)
        if run.operations[operation.id].status != "waiting":
            run.count(run.operations[operation.id], -1)
            run.count(operation, 1)
        elif operation.status != "waiting":
            return self.answer(index, operation)
        run.operations[operation.id] = operation
        return index

    def answer(self, index: int, answered: Operation[State]) -> int:
        """Replace the waiting operation of a run, which becomes part of the one before. Returns that one's index."""
        run, previous = self.runs.pop(index), self.runs[index - 1]
        run.operations[answered.id] = answered
        run.count(answered, 1)
        previous.operations.update(run.operations)
        self._run_of.update(dict.fromkeys(run.operations, previous))
        previous.least, previous.greatest = previous.least + run.least, previous.greatest + run.greatest
        previous.others += run.others
        return index - 1

    def hull_behind(self, index: int) -> Hull | None:
        """The hull behind a run, from the one in front of it; None if there is none, or the state is no number."""
        run = self.runs[index]
        if index:
            hull = run.before and run.before.behind(self.head(index))
        else:
            hull = Hull(self.state, self.state) if isinstance(self.state, int) else None
        if hull is None or run.others:
            return None
        return hull._replace(least=hull.least + run.least, greatest=hull.greatest + run.greatest)

    def possible(self) -> set[State]:
        """The exact set of states that are possible behind the whole log; empty if it is too large."""
        return _ExactSet(self).before(None)

    def fold(self, number: int) -> Iterator[Line[State]]:
        """Move the settled front into the state; `number` is that of the last line so far."""
        run = self.runs[0]
        while run.operations and not (first := next(iter(run.operations.values()))).is_open:
            del run.operations[first.id], self._run_of[first.id]
            run.count(first, -1)
            before, number = self.state, number + 1
            (self.state,) = first.possible((before,))
            yield Line(number, first, before, self.state)


class _ExactSet(Generic[State]):
    """The exact set of possible states, carried along the log as far as it is asked for."""

    def __init__(self, log: Log[State]) -> None:
        self._log, self._visited = log, 0
        self._states: set[State] = {log.state}
        self._ids: list[Hashable] = []

    def before(self, operation_id: Hashable) -> set[State]:
        """The possible states before this operation; empty if there are too many to look at."""
        if not self._visited:
            self._ids = [each.id for each in reversed(list(self._log))]
        while self._states and self._ids and self._ids[-1] != operation_id:
            operation = self._log.find(self._ids.pop())
            self._states = operation.possible(self._states) if operation else self._states
            self._visited += len(self._states)
            if self._visited > VISITED_MAX:
                self._states = set()
        return self._states
