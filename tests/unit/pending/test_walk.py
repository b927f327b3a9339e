"""The walk: when the hull decides, when the exact set does, and what happens where that is too large."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

import holdfast.pending.entity
from holdfast.pending import Entity, NumberKind, Operation, Refused
from holdfast.pending.entity import Hull, Log
from tests.unit.pending.brute_force import Fault, history
from tests.unit.pending.subjects import SUBJECTS, Halve, OddOnly
from user_service.kinds import Credit, Multiply, Reserve

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LATER = T0.replace(year=2027)


def reserve(operation_id: Any, size: int) -> Operation[int]:
    return Operation(operation_id, Reserve(size), answer_by=LATER, settle_by=LATER)


@dataclass(frozen=True, slots=True)
class Counting(NumberKind):
    """Says yes from `least` on, and counts how often it is asked."""

    least: int
    asked: list[int]

    def answer(self, state: int) -> str | Refused:
        self.asked.append(state)
        return "yes" if state >= self.least else Refused("no")

    def adds(self, answer: str) -> tuple[int, ...]:
        return (0,)


def test_where_the_hull_decides_only_its_ends_are_asked() -> None:
    entity: Entity[int] = Entity(1_000)
    for number in range(20):
        entity.arrive(reserve(number, number + 1), T0)
    asked: list[int] = []
    entity.arrive(Operation("certain", Counting(790, asked)), T0)
    assert set(asked) == {790, 1_000}
    asked.clear()
    entity.arrive(Operation("waits", Counting(791, asked)), T0)
    assert set(asked) == {790, 1_000}


def test_where_the_hull_is_not_reached_the_exact_set_decides() -> None:
    # Possible behind the two: 10, 4 and 3, or 9 and 3 if `b` is answered late. 8 is not, though the hull says 3 to 10.
    entity: Entity[int] = Entity(10)
    entity.arrive(reserve("a", 6), T0)
    entity.arrive(Operation("b", Reserve(7), answer_by=None, settle_by=LATER), T0)
    assert entity.bounds == (3, 10)
    entity.arrive(Operation("c", Counting(3, [])), T0)
    found = entity.past.get("c") or entity.find("c")
    assert found
    assert found.answer == "yes"


@pytest.mark.parametrize("accepted_wrongly", [False, True])
def test_a_kind_without_claim_is_never_answered_from_the_ends_of_the_hull(accepted_wrongly: bool) -> None:
    # The ends, 7 and 9 (or 8 and 10), get the same answer; 8 (or 9) between them gets another.
    entity: Entity[int] = Entity(9)
    for number in (1, 2):
        entity.arrive(reserve(number, 1), T0)
    if accepted_wrongly:
        entity.arrive(Operation("credit", Credit(1)), T0)
    entity.arrive(Operation("odd", OddOnly()), T0)
    odd = entity.find("odd")
    assert odd
    assert (odd.status, odd.accepted) == ("waiting", False)


def test_too_many_states_make_an_answer_late_and_never_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def answered(visited_max: int) -> bool:
        monkeypatch.setattr(holdfast.pending.entity, "VISITED_MAX", visited_max)
        entity: Entity[int] = Entity(10)
        entity.arrive(reserve("a", 6), T0)
        entity.arrive(reserve("b", 5), T0)
        entity.arrive(Operation("c", Reserve(4), settle_by=LATER), T0)
        found = entity.find("c")
        assert found
        return found.status == "reserved"

    assert [answered(visited_max) for visited_max in (0, 2, 4, 5)] == [False, False, False, True]


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_without_exact_sets_no_answer_is_wrong(subject: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdfast.pending.entity, "VISITED_MAX", 0)
    late = {"needless wait", "acceptance", "wrong bounds"}
    for seed in range(200):
        try:
            history(subject, seed)
        except Fault as fault:
            assert fault.args[0] in late, fault.args  # noqa: PT017


def test_a_walk_looks_at_a_bounded_number_of_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdfast.pending.entity, "VISITED_MAX", 1_000)
    entity: Entity[int] = Entity(2**40)
    for number in range(40):
        entity.arrive(reserve(number, 2**number), T0)
    asked: list[int] = []
    entity.arrive(Operation("first", Multiply(2), answer_by=LATER), T0)
    entity.arrive(reserve("second", 2**39), T0)
    entity.arrive(Operation("third", Counting(2**41 - 5, asked), answer_by=LATER), T0)
    assert len(asked) < 3_000


def test_the_hull_holds_every_state_and_knows_when_it_is_reached() -> None:
    log: Log[int] = Log(10)
    log.put(Operation("a", Reserve(6), place=1, status="reserved", answer=6, answer_by=LATER))
    assert log.hull_behind(0) == Hull(4, 10, True)
    log.put(Operation("b", Reserve(7), place=2, status="waiting", answer_by=LATER))
    # 10 can be reached, 0 cannot: where 4 are left, 7 are refused.
    assert log.hull_behind(1) == Hull(0, 10, False)


def test_a_hull_is_reached_where_its_ends_are_all_that_is_possible() -> None:
    log: Log[int] = Log(10)
    log.put(Operation("a", Reserve(6), place=1, status="reserved", answer=6))
    log.put(Operation("b", Multiply(2), place=2, status="waiting"))
    assert log.hull_behind(1) == Hull(8, 20, True)


@pytest.mark.parametrize("kind", [Halve(), OddOnly()], ids=str)
def test_behind_a_kind_without_claim_there_is_no_hull(kind: NumberKind) -> None:
    log: Log[int] = Log(10)
    log.put(Operation("a", Reserve(5), place=1, status="reserved", answer=5, answer_by=LATER))
    log.put(Operation("b", kind, place=2, status="waiting"))
    assert log.hull_behind(1) is None


def test_what_makes_no_claim_leaves_a_hull_behind_it_once_it_is_answered() -> None:
    log: Log[int] = Log(10)
    log.put(Operation("a", Reserve(5), place=1, status="reserved", answer=5, answer_by=LATER))
    log.put(Operation("b", Halve(), place=2, status="settled", answer=-3, end=0))
    assert log.hull_behind(0) == Hull(2, 7)


def test_the_hull_stays_the_same_when_what_is_settled_is_folded() -> None:
    log: Log[int] = Log(10)
    log.put(Operation("a", Reserve(6), place=1, status="settled", answer=6, end=0))
    log.put(Operation("b", Reserve(3), place=2, status="reserved", answer=3))
    assert log.hull_behind(0) == Hull(1, 4)
    assert [(each.id, log.state) for each in log.fold()] == [("a", 4)]
    assert log.hull_behind(0) == Hull(1, 4)


def test_many_in_flight_of_many_sizes_and_one_behind_them_that_waits() -> None:
    # The hull is reached, so nothing is looked at but its ends: the wait is certain.
    chance = Random(1)
    entity: Entity[int] = Entity(10**9)
    for number in range(500):
        entity.arrive(reserve(number, chance.randrange(1, 10**6)), T0)
    asked: list[int] = []
    entity.arrive(Operation("waits", Counting(10**9 - 1, asked)), T0)
    assert len(set(asked)) == 2
