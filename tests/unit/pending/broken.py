"""Broken rules: each replaces one public part of the library, and the brute force must find it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

import holdfast.pending.entity as entity_module
from holdfast.pending import Entity, NumberKind, Operation, Outcome, Refused
from holdfast.pending.entity import Hull, Log
from tests.unit.pending.subjects import OddOnly

Break = Callable[[pytest.MonkeyPatch], None]
BROKEN: dict[str, tuple[Break, str]] = {}
"""Each broken rule by its name, and the fault as which the brute force must find it."""


def breaks(fault: str) -> Callable[[Break], Break]:
    """Register a broken rule."""

    def register(rule: Break) -> Break:
        BROKEN[rule.__name__] = rule, fault
        return rule

    return register


def _replace(patch: pytest.MonkeyPatch, of: Any, name: str, make: Callable[[Any], Any]) -> None:
    patch.setattr(of, name, make(getattr(of, name)))


@breaks("wrong bounds")
def a_kind_claims_a_hull_that_is_too_small(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(NumberKind, "hull", lambda self, least, greatest: (greatest, greatest))


@breaks("wrong answer")
def a_kind_that_refuses_between_two_states_claims_that_it_does_not(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OddOnly, "hull", lambda self, least, greatest: (least, greatest))


@breaks("wrong answer")
def the_exact_set_loses_a_state(patch: pytest.MonkeyPatch) -> None:
    def make(exact_sets: Any) -> Any:
        def shortened(log: Log[Any]) -> Iterator[tuple[Hashable, set[Any]]]:
            for operation_id, states in exact_sets(log):
                yield operation_id, set(sorted(states, key=str)[:2])

        return shortened

    _replace(patch, entity_module, "exact_sets", make)


@breaks("needless wait")
def the_exact_set_is_never_asked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(entity_module, "VISITED_MAX", 0)


@breaks("wrong bounds")
def the_hull_says_that_it_is_reached(patch: pytest.MonkeyPatch) -> None:
    _replace(patch, Log, "hull_behind", lambda hull_behind: lambda self, index: _reached(hull_behind(self, index)))


def _reached(hull: Hull | None) -> Hull | None:
    return hull and hull._replace(is_reached=True)


@breaks("needless wait")
def the_hull_in_front_is_not_kept_up(patch: pytest.MonkeyPatch) -> None:
    _replace(patch, entity_module, "walk", lambda walk: lambda log, start: walk(log, max(start, len(log.runs) - 1)))


@breaks("wrong answer")
def a_reservation_does_not_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Operation, "adds", lambda self: (0, 0))


@breaks("wrong answer")
def a_partial_capture_is_not_possible(patch: pytest.MonkeyPatch) -> None:
    def possible(states_behind: Any) -> Any:
        def without_the_middle(self: Operation[Any], states: Any) -> set[Any]:
            if (
                self.status == "reserved"
                and self.kind
                and len(ends := self.kind.ends(min(states, key=str), self.answer)) > 2
            ):
                return {end for state in states for end in self.kind.ends(state, self.answer)[:: len(ends) - 1]}
            found: set[Any] = states_behind(self, states)
            return found

        return without_the_middle

    _replace(patch, Operation, "possible", possible)


def _answer_by(choose: Callable[[list[Hashable]], Hashable]) -> Break:
    """Answer on one of the possible answers, in place of all of them."""

    def make(possible_answers: Any) -> Any:
        def chosen(waiting: Operation[Any], hull: Hull | None, exact: Any) -> set[Hashable]:
            answers: set[Hashable] = possible_answers(waiting, hull, exact)
            return {choose(sorted(answers, key=lambda answer: (not isinstance(answer, Refused), str(answer))))}

        return chosen

    return lambda patch: _replace(patch, entity_module, "possible_answers", make)


@breaks("wrong answer")
def the_scarce_is_sold_twice(patch: pytest.MonkeyPatch) -> None:
    _answer_by(lambda answers: answers[-1])(patch)


@breaks("wrong answer")
def the_last_is_refused_while_it_may_come_back(patch: pytest.MonkeyPatch) -> None:
    _answer_by(lambda answers: answers[0])(patch)


@breaks("needless wait")
def a_refusal_waits_for_no_reason(patch: pytest.MonkeyPatch) -> None:
    def make(possible_answers: Any) -> Any:
        def more(waiting: Operation[Any], hull: Hull | None, exact: Any) -> set[Hashable]:
            answers: set[Hashable] = possible_answers(waiting, hull, exact)
            return answers | {"or not"} if any(isinstance(answer, Refused) for answer in answers) else answers

        return more

    _replace(patch, entity_module, "possible_answers", make)


@breaks("acceptance")
def acceptance_is_told_although_a_world_refuses(patch: pytest.MonkeyPatch) -> None:
    def make(told: Any) -> Any:
        def accepting(self: Operation[Any], answers: set[Hashable], state: Any) -> Operation[Any]:
            operation: Operation[Any] = told(self, answers, state)
            is_told = operation is not self or self.is_revocable or self.accepted
            return operation if is_told else replace(self, accepted=True)

        return accepting

    _replace(patch, Operation, "told", make)


@breaks("acceptance")
def acceptance_is_told_although_it_can_be_withdrawn(patch: pytest.MonkeyPatch) -> None:
    def make(walk: Any) -> Any:
        def accepting(log: Log[Any], start: int) -> Iterator[Operation[Any]]:
            yield from walk(log, start)
            for operation in list(log.operations.values()):
                if operation.status == "waiting" and not operation.accepted:
                    accepted = replace(operation, accepted=True)
                    log.put(accepted)
                    yield accepted

        return accepting

    _replace(patch, entity_module, "walk", make)


@breaks("not told")
def acceptance_is_never_told(patch: pytest.MonkeyPatch) -> None:
    _replace(
        patch,
        entity_module,
        "walk",
        lambda walk: lambda log, start: (each for each in walk(log, start) if not each.accepted),
    )


@breaks("wrong answer")
def what_may_be_withdrawn_counts_as_certain(patch: pytest.MonkeyPatch) -> None:
    def make(possible: Any) -> Any:
        def certain(self: Operation[Any], states: Any) -> set[Any]:
            found: set[Any] = possible(replace(self, answer_by=None) if self.status == "waiting" else self, states)
            return found

        return certain

    _replace(patch, Operation, "possible", make)


@breaks("withdrawn although irrevocable")
def the_irrevocable_is_withdrawn(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Operation, "is_revocable", property(lambda self: self.status in ("outside", "waiting")))


@breaks("lost")
def the_front_is_folded_while_it_is_open(patch: pytest.MonkeyPatch) -> None:
    def make(fold: Any) -> Any:
        def folding(self: Log[Any]) -> Iterator[Operation[Any]]:
            first = next(iter(self.operations.values()), None)
            if first and first.status == "reserved":
                self.put(replace(first, status="settled", how="captured", end=0))
            yield from fold(self)

        return folding

    _replace(patch, Log, "fold", make)


@breaks("gap in the ledger")
def an_operation_has_two_lines(patch: pytest.MonkeyPatch) -> None:
    _replace(patch, Log, "fold", lambda fold: lambda self: (line for each in fold(self) for line in (each, each)))


@breaks("joined too early")
def an_operation_joins_before_those_that_it_names(patch: pytest.MonkeyPatch) -> None:
    _replace(
        patch,
        Entity,
        "arrive",
        lambda arrive: lambda self, operation, *rest: arrive(self, replace(operation, after=frozenset()), *rest),
    )


@breaks("joined too early")
def one_of_those_that_it_names_is_enough(patch: pytest.MonkeyPatch) -> None:
    _replace(
        patch,
        Entity,
        "arrive",
        lambda arrive: (
            lambda self, each, *rest: arrive(self, replace(each, after=frozenset(sorted(each.after)[:1])), *rest)
        ),
    )


@breaks("needless wait behind `after`")
def past_operations_are_waited_for(patch: pytest.MonkeyPatch) -> None:
    class Forgotten(dict[Hashable, Any]):
        def __contains__(self, key: object) -> bool:
            return False

    def make(init: Any) -> Any:
        def forgetting(self: Entity[Any], *arguments: Any) -> None:
            init(self, *arguments)
            self.past = Forgotten()

        return forgetting

    _replace(patch, Entity, "__init__", make)


@breaks("an entity loaded anew differs")
def whoever_joins_late_keeps_its_place(patch: pytest.MonkeyPatch) -> None:
    def keeping(operation: Operation[Any], **changes: Any) -> Operation[Any]:
        if changes.get("status") == "waiting":
            del changes["place"]
        return replace(operation, **changes)

    patch.setattr(entity_module, "replace", keeping)


def _shift_deadlines(seconds: int) -> Break:
    def make(pass_time: Any) -> Any:
        return lambda self, now: pass_time(self, now + timedelta(seconds=seconds))

    return lambda patch: _replace(patch, Entity, "pass_time", make)


@breaks("deadline without effect")
def a_deadline_has_its_effect_a_second_late(patch: pytest.MonkeyPatch) -> None:
    _shift_deadlines(-1)(patch)


@breaks("ended before its deadline")
def a_deadline_has_its_effect_a_second_early(patch: pytest.MonkeyPatch) -> None:
    _shift_deadlines(1)(patch)


@breaks("an entity loaded anew differs")
def deadlines_have_their_effect_in_the_order_of_arrival(patch: pytest.MonkeyPatch) -> None:
    def make(pass_time: Any) -> Any:
        def by_arrival(self: Entity[Any], now: datetime) -> Outcome[Any]:
            outcome: Outcome[Any] = Outcome()
            for each in sorted(self, key=lambda each: each.place):
                if each.status == "reserved" and each.settle_by and each.settle_by <= now:
                    self._settle(each, outcome, how="expired", end=-1, reason="deadline_passed")
            later: Outcome[Any] = pass_time(self, now)
            outcome.changed += later.changed
            outcome.folded += later.folded
            return outcome

        return by_arrival

    _replace(patch, Entity, "pass_time", make)


@breaks("deadline without effect")
def waits_have_no_deadline(patch: pytest.MonkeyPatch) -> None:
    deadlines: Mapping[str, str] = {"outside": "join_by", "reserved": "settle_by"}
    patch.setattr(Operation, "deadline", property(lambda self: getattr(self, deadlines.get(self.status, ""), None)))


@breaks("deadline without effect")
def whoever_names_what_never_comes_waits_for_ever(patch: pytest.MonkeyPatch) -> None:
    deadlines: Mapping[str, str] = {"waiting": "answer_by", "reserved": "settle_by"}
    patch.setattr(Operation, "deadline", property(lambda self: getattr(self, deadlines.get(self.status, ""), None)))


@breaks("not released")
def a_release_is_a_capture(patch: pytest.MonkeyPatch) -> None:
    _replace(patch, Entity, "settle", lambda settle: lambda self, each, now, *_: settle(self, each, now))


@breaks("not told")
def an_answer_is_not_told(patch: pytest.MonkeyPatch) -> None:
    _replace(
        patch,
        entity_module,
        "Outcome",
        lambda outcome: lambda: outcome(changed=_Dropping()),
    )


class _Dropping(list[Any]):
    """A list that loses every reservation that is put into it behind something else."""

    def append(self, item: Any) -> None:
        if not (self and item.status == "reserved"):
            super().append(item)
