"""Brute force: random histories of an entity, and after each transition everything that must hold, over all worlds.

    python -m tests.unit.pending.brute_force --histories 200000

A world is one way in which the open operations may end. The reference is a program that executes one operation at a
time. It knows of a kind `answer` and `ends`, and nothing else of the library.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from holdfast.pending import Entity, Kind, Operation, Outcome, Refused
from tests.unit.pending.subjects import SUBJECTS, Subject

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BY_HAND = "by_hand"
"""The reason that these histories give; every other reason is the library's."""

Transition = Callable[[Entity[Any]], Outcome[Any]]


class Fault(Exception):
    """What must hold does not. The first argument is its name."""


def require(holds: bool, name: str, *shown: object) -> None:
    """Raise a fault of this name unless it holds."""
    if not holds:
        raise Fault(name, *shown)


def ends(kind: Kind[Any], state: Any, answer: Hashable) -> tuple[Any, ...]:
    """The states in which the operation may leave the entity; a refusal leaves it as it is."""
    return (state,) if isinstance(answer, Refused) else kind.ends(state, answer)


def worlds(state: Any, log: Sequence[Operation[Any]]) -> Iterator[tuple[dict[Hashable, Hashable], Any]]:
    """Each world: what the one-at-a-time program answers to each operation of the log, and the state behind it."""
    if not log:
        yield {}, state
        return
    first, rest = log[0], log[1:]
    if first.kind is None or (first.status == "settled" and first.how == "withdrawn"):
        yield from worlds(state, rest)
        return
    answer = first.kind.answer(state)
    behind = ends(first.kind, state, answer)
    if first.status == "settled":
        behind = (behind[first.end or 0],)
    elif first.status == "waiting" and first.is_revocable:
        behind = (*behind, state)
    for end in set(behind):
        for answers, last in worlds(end, rest):
            yield {first.id: answer} | answers, last


def deadline(operation: Operation[Any]) -> datetime:
    """When an operation that is as this one must have ended."""
    by = {"outside": operation.join_by, "waiting": operation.answer_by, "reserved": operation.settle_by}
    return by.get(operation.status) or datetime.max.replace(tzinfo=UTC)


class Tried:
    """An entity under trial. What it must be is known from the outcomes of its transitions alone."""

    def __init__(self, state: Any) -> None:
        self.entity: Entity[Any] = Entity(state)
        self.now = self._tried_until = BEGIN
        self.state, self.folded = state, 0
        self.told: dict[Hashable, Operation[Any]] = {}
        self.names: dict[Hashable, frozenset[Hashable]] = {}
        self.joined: dict[Hashable, int] = {}

    def arrive(self, operation: Operation[Any]) -> None:
        """Arrive, and remember whom it names."""
        self.names[operation.id] = operation.after
        self.do(lambda entity: entity.arrive(operation, self.now))

    def do(self, transition: Transition) -> None:
        """Make a transition, and try everything that must hold behind it. A twin is loaded anew from what is pending
        and lets time pass second by second: it must do the same.
        """
        pending = sorted(self.entity, key=lambda each: str(each.id))
        twin = Entity(self.entity.state, self.entity.places, pending)
        twin.past.update(self.entity.past)
        require(list(twin) == list(self.entity), "an entity loaded anew differs", list(twin), list(self.entity))
        outcome, stepwise = transition(self.entity), Outcome[Any]()
        while self._tried_until < self.now:
            self._tried_until += SECOND
            _extend(stepwise, twin.pass_time(self._tried_until))
        _extend(stepwise, transition(twin))
        same = outcome.changed == stepwise.changed and outcome.folded == stepwise.folded
        require(same and list(twin) == list(self.entity), "an entity loaded anew differs", outcome, stepwise)
        self._try_outcome(outcome)
        self._try_worlds()
        self._try_outside()

    def _try_outcome(self, outcome: Outcome[Any]) -> None:
        for operation in outcome.changed:
            previous = self.told.get(operation.id)
            require(operation != previous, "told twice", operation)
            if operation.status != "outside" and not (operation.how == "withdrawn" and operation.answer is None):
                self.joined.setdefault(operation.id, len(self.joined))
            self._try_end(previous, operation)
            self.told[operation.id] = operation
        for operation in outcome.folded:
            self._try_folded(operation)
        pending = list(self.entity)
        for each in pending:
            require(self.told.get(each.id) == each, "not told", self.told.get(each.id), each)
            overdue = deadline(each) <= self.now and each not in outcome.changed
            require(not overdue, "deadline without effect", each)
        ids = {each.id for each in pending}
        require(all(each.id in ids for each in self.told.values() if each.status != "settled"), "lost")
        require(self.entity.state == self.state, "wrong state", self.entity.state, self.state)

    def _try_end(self, previous: Operation[Any] | None, operation: Operation[Any]) -> None:
        """No operation ends without a cause."""
        if operation.how == "withdrawn" and previous:
            revocable = previous.status == "outside" or previous.answer_by is not None
            require(revocable and previous.status != "reserved", "withdrawn although irrevocable", previous)
        if previous and (operation.how == "expired" or (operation.how == "withdrawn" and operation.reason != BY_HAND)):
            require(deadline(previous) <= self.now, "ended before its deadline", previous, operation)

    def _try_folded(self, operation: Operation[Any]) -> None:
        """What leaves the log makes the ledger of the one-at-a-time program."""
        before = self.state
        require(self.joined[operation.id] == self.folded, "gap in the ledger", operation)
        self.folded += 1
        require(operation.status == "settled", "folded while open", operation)
        if operation.kind and operation.how != "withdrawn":
            answer = operation.kind.answer(before)
            require(operation.answer == answer, "wrong answer", operation, answer)
            if operation.end is not None:
                self.state = ends(operation.kind, before, answer)[operation.end]
        require(operation.possible({before}) == {self.state}, "wrong state", operation, self.state)
        require(operation.id in self.entity.past, "not past", operation)

    def _try_worlds(self) -> None:
        """What is answered holds in every world; what waits has two answers at least."""
        log = [each for each in self.entity if each.status != "outside"]
        answers: dict[Hashable, set[Hashable]] = {each.id: set() for each in log}
        states = set()
        for told, state in worlds(self.state, log):
            states.add(state)
            for operation_id, answer in told.items():
                answers[operation_id].add(answer)
        for each in log:
            possible = answers[each.id]
            if each.status != "waiting":
                require(possible <= {each.answer}, "wrong answer", each, possible)
                continue
            require(len(possible) > 1, "needless wait", each, possible)
            refused = any(isinstance(answer, Refused) for answer in possible)
            require(each.accepted == (not refused and each.answer_by is None), "acceptance", each, possible)
        bounds = (min(states), max(states)) if isinstance(self.state, int) else None
        require(self.entity.bounds == bounds, "wrong bounds", self.entity.bounds, bounds)

    def _try_outside(self) -> None:
        """Whoever names others joins behind them, as soon as all of them have joined or are past."""
        gone = {each.id for each in self.told.values() if each.status == "settled"}
        log = [each for each in self.entity if each.status != "outside"]
        require([each.id for each in log] == sorted((each.id for each in log), key=self.joined.__getitem__), "order")
        for each in self.entity:
            names = self.names[each.id]
            if each.status == "outside":
                missing = frozenset(other for other in names if other not in self.joined and other not in gone)
                require(bool(missing), "needless wait behind `after`", each)
                require(each.after == missing, "`after` is not what is missing", each, missing)
                require(each.answer is None and not each.accepted, "answered before it joins", each)
            else:
                first = [other for other in names if self.joined.get(other, -1) > self.joined[each.id]]
                absent = [other for other in names if other not in self.joined and other not in gone]
                require(not first and not absent, "joined too early", each, first, absent)


def _extend(all_of_it: Outcome[Any], outcome: Outcome[Any]) -> None:
    all_of_it.changed += outcome.changed
    all_of_it.folded += outcome.folded


def history(subject: Subject, seed: int) -> None:
    """One random history, to its end. Raises the first `Fault`."""
    chance = Random(f"{subject.name} {seed}")
    tried = Tried(chance.choice(subject.states))
    arrived, total = 0, chance.randrange(3, 8)
    for _ in range(3 * total):
        tried.now += chance.choice((0, 0, 1, 1, 3)) * SECOND
        if arrived < total and chance.random() < 0.5:
            _arrive(tried, subject, arrived, total, chance)
            arrived += 1
        elif len(tried.entity) and chance.random() < 0.9:
            _end(tried, chance.choice([each.id for each in tried.entity]), chance)
        elif chance.random() < 0.1:
            early = chance.randrange(total)
            tried.do(lambda entity, early=early: entity.withdraw(early, tried.now, BY_HAND))  # type: ignore[misc]
        else:
            tried.do(lambda entity: entity.pass_time(tried.now))
    for _ in range(2 * total):
        tried.now += 20 * SECOND
        tried.do(lambda entity: entity.pass_time(tried.now))
    require(not len(tried.entity), "does not end", list(tried.entity))


def _arrive(tried: Tried, subject: Subject, number: int, total: int, chance: Random) -> None:
    def soon() -> datetime:
        return tried.now + chance.randrange(12) * SECOND

    if tried.entity.find(number):
        return  # Withdrawn before it arrived.
    after = frozenset(other for other in range(total) if other != number and chance.random() < 0.1)
    answer_by = soon() if chance.random() < 0.6 else None
    operation = Operation(number, chance.choice(subject.kinds(chance)), after, soon(), answer_by, soon())
    if chance.random() < 0.05:
        tried.do(lambda entity: entity.arrive(operation, tried.now, BY_HAND))
    else:
        tried.arrive(operation)


def _end(tried: Tried, operation_id: Hashable, chance: Random) -> None:
    tried.do(lambda entity: entity.pass_time(tried.now))
    known = tried.entity.find(operation_id)
    if known is None or known.kind is None:
        return
    if known.status == "reserved" and chance.random() < 0.7:
        end = chance.randrange(len(known.kind.ends(tried.state, known.answer)))
        tried.do(lambda entity: entity.settle(operation_id, tried.now, end))
        captured = tried.told[operation_id]
        require((captured.how, captured.end) == ("captured", end), "not captured", captured)
    elif known.status == "reserved":
        tried.do(lambda entity: entity.settle(operation_id, tried.now, -1, BY_HAND))
        released = tried.told[operation_id]
        require((released.how, released.end) == ("released", -1), "not released", released)
    elif chance.random() < 0.3:
        tried.do(lambda entity: entity.withdraw(operation_id, tried.now, BY_HAND))


def first_fault(subject: Subject, histories: int) -> tuple[int, Exception] | None:
    """The first history with a fault, if there is one, and the fault."""
    for seed in range(histories):
        try:
            history(subject, seed)
        except Exception as fault:  # A broken rule may break anywhere.
            return seed, fault
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Try each entity, and print one figure for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.unit.pending.brute_force")
    parser.add_argument("--histories", type=int, default=10_000, help="of all entities together")
    histories = parser.parse_args(arguments).histories // len(SUBJECTS)
    failed = False
    for subject in SUBJECTS:
        faults: Counter[str] = Counter()
        for seed in range(histories):
            try:
                history(subject, seed)
            except Fault as fault:
                faults[fault.args[0]] += 1
        needless = sum(count for name, count in faults.items() if name.startswith("needless wait"))
        others = sum(faults.values()) - faults["wrong answer"] - needless
        print(
            f"figure: {subject.name}: {faults['wrong answer']} wrong answers, {needless} needless waits, "
            f"{others} other faults in {histories} histories",
            flush=True,
        )
        failed = failed or bool(faults)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
