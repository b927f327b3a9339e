"""Each transition of an entity, with the smallest input that shows it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.pending import Entity, Kind, NumberKind, Operation, Outcome, Refused
from tests.unit.pending.subjects import Halve, Pay, Seat
from user_service.kinds import Credit, Multiply, Reserve

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def reserve(operation_id: str, size: int, answer_by: float = 100, settle_by: float = 100) -> Operation[Any]:
    return Operation(operation_id, Reserve(size), answer_by=at(answer_by), settle_by=at(settle_by))


def final(operation_id: str, kind: Kind[Any], answer_by: float | None = None) -> Operation[Any]:
    return Operation(operation_id, kind, answer_by=None if answer_by is None else at(answer_by))


def behind(
    operation_id: str, *names: Hashable, kind: Kind[Any] | None = None, join_by: float = 100, answer_by: float = 100
) -> Operation[Any]:
    return Operation(operation_id, kind or Credit(1), frozenset(names), at(join_by), at(answer_by))


def told(outcome: Outcome[Any]) -> list[tuple[Hashable, str, str | None]]:
    return [(each.id, each.status, each.how or each.reason) for each in outcome.changed]


def status(entity: Entity[Any], operation_id: Hashable) -> str:
    found = entity.find(operation_id)
    assert found
    return found.status


def entity_with(state: Any, *operations: Operation[Any]) -> Entity[Any]:
    entity: Entity[Any] = Entity(state)
    for operation in operations:
        entity.arrive(operation, T0)
    return entity


# arrive


def test_a_final_answer_is_given_and_folded_at_once() -> None:
    entity: Entity[int] = Entity(5)
    outcome = entity.arrive(final("credit", Credit(3)), T0)
    assert told(outcome) == [("credit", "settled", "answered")]
    assert [(each.id, each.answer) for each in outcome.folded] == [("credit", 3)]
    assert (entity.state, len(entity), entity.places) == (8, 0, 1)


def test_a_refusal_changes_nothing_and_leaves_the_log() -> None:
    entity: Entity[int] = Entity(5)
    outcome = entity.arrive(reserve("much", 6), T0)
    (refused,) = outcome.changed
    assert (refused.status, refused.accepted, refused.answer, refused.end, refused.reason) == (
        "settled",
        False,
        Refused("insufficient_coins"),
        None,
        "insufficient_coins",
    )
    assert (outcome.folded, entity.state) == ([refused], 5)


def test_what_open_operations_may_decide_either_way_waits() -> None:
    entity = entity_with(5, reserve("first", 3))
    outcome = entity.arrive(reserve("second", 3), T0)
    assert told(outcome) == [("second", "waiting", None)]
    assert told(entity.settle("first", T0)) == [("first", "settled", "captured"), ("second", "settled", "answered")]
    assert entity.state == 2


def test_what_is_certain_is_answered_behind_one_that_waits() -> None:
    entity = entity_with(5, reserve("first", 3), reserve("second", 3))
    outcome = entity.arrive(final("credit", Credit(1)), T0)
    assert (told(outcome), outcome.folded) == ([("credit", "settled", "answered")], [])
    assert len(entity) == 3


def test_the_last_piece_is_not_refused_while_it_may_come_back() -> None:
    entity = entity_with(1, reserve("first", 1))
    assert told(entity.arrive(reserve("second", 1), T0)) == [("second", "waiting", None)]
    assert told(entity.settle("first", T0, -1, "failed"))[-1] == ("second", "reserved", None)


def test_coins_that_an_irrevocable_doubling_makes_certain_can_be_spent() -> None:
    entity = entity_with(50, reserve("order", 20))
    accepted = entity.arrive(final("double", Multiply(2)), T0)
    assert [(each.status, each.accepted) for each in accepted.changed] == [("waiting", True)]
    assert told(entity.arrive(reserve("spend", 60), T0)) == [("spend", "reserved", None)]
    assert told(entity.arrive(reserve("too much", 61), T0)) == [("too much", "waiting", None)]
    assert entity.bounds == (0, 100)
    outcome = entity.settle("order", T0, -1, "failed")
    assert [(each.id, each.answer, each.accepted) for each in outcome.changed[:2]] == [
        ("order", 20, False),
        ("double", 50, False),
    ]


def test_what_is_in_flight_behind_one_that_is_answered_is_still_in_flight() -> None:
    entity = entity_with(50, reserve("order", 20), final("double", Multiply(2)), reserve("spend", 30))
    assert entity.bounds == (30, 100)
    entity.settle("order", T0, -1, "failed")
    assert entity.bounds == (70, 100)


@dataclass(frozen=True, slots=True)
class SetHalfAside(NumberKind):
    """A reservation that is never refused, and whose size depends on the state."""

    def answer(self, state: int) -> int:
        return state // 2

    def adds(self, answer: int) -> tuple[int, ...]:
        return (-answer, 0)


def test_an_accepted_reservation_that_is_answered_waits_no_more() -> None:
    entity = entity_with(10, reserve("order", 4))
    half = Operation("half", SetHalfAside(), settle_by=at(100))
    assert [(each.status, each.accepted) for each in entity.arrive(half, T0).changed] == [("waiting", True)]
    _, answered = entity.settle("order", T0, -1, "failed").changed
    assert (answered.id, answered.status, answered.accepted, answered.answer) == ("half", "reserved", False, 5)


def test_a_doubling_that_may_be_withdrawn_is_not_accepted_and_makes_nothing_certain() -> None:
    entity = entity_with(50, reserve("order", 20), final("double", Multiply(2), answer_by=100))
    assert [each.accepted for each in entity] == [False, False]
    assert told(entity.arrive(reserve("spend", 31), T0)) == [("spend", "waiting", None)]


@pytest.mark.parametrize(
    "operation",
    [
        Operation("new", None),
        Operation("new", Seat(1)),
        Operation("new", Credit(1), after=frozenset({"other"})),
        final("reserved", Credit(1)),
        final("past", Credit(1)),
        behind("outside", kind=Credit(1)),
        replace(final("settled", Credit(1)), status="settled", answer=1, end=0),
    ],
    ids=["no kind", "no kind for a number", "no time to join by", "in the log", "past", "outside", "it has ended"],
)
def test_what_cannot_arrive_changes_nothing(operation: Operation[Any]) -> None:
    entity = entity_with(5, final("past", Credit(1)), reserve("reserved", 1, settle_by=7), behind("outside", "no one"))
    _nothing_happens(entity, ValueError, str(operation.id), lambda: entity.arrive(operation, at(50)))


def _nothing_happens(entity: Entity[Any], error: type[Exception], says: str, transition: Callable[[], object]) -> None:
    before = (list(entity), dict(entity.past), entity.state, entity.places)
    with pytest.raises(error, match=says):
        transition()
    assert (list(entity), entity.past, entity.state, entity.places) == before


@dataclass(frozen=True)
class Seize(Kind[bool]):
    """The one seat there is: taken or free."""

    def answer(self, state: bool) -> str | Refused:
        return Refused("taken") if state else "reserved"

    def ends(self, state: bool, answer: str) -> tuple[bool, ...]:
        return True, state


def test_a_truth_value_is_no_number() -> None:
    entity: Entity[bool] = Entity(False)
    assert told(entity.arrive(final("first", Seize()), T0)) == [("first", "reserved", None)]
    assert told(entity.arrive(final("second", Seize()), T0)) == [("second", "waiting", None)]
    assert entity.bounds is None
    told_then = told(entity.settle("first", T0, end=-1, reason="left"))
    assert told_then == [("first", "settled", "released"), ("second", "reserved", None)]


# arrive, refused for another reason


def test_an_empty_reason_refuses_as_well() -> None:
    entity: Entity[int] = Entity(5)
    assert told(entity.arrive(final("credit", Credit(3)), T0, "")) == [("credit", "settled", "withdrawn")]
    assert entity.state == 5


def test_one_refused_for_another_reason_is_past_and_never_in_the_log() -> None:
    entity = entity_with(5, behind("waits", "refused"))
    outcome = entity.arrive(reserve("refused", 1), T0, "account_closed")
    assert told(outcome) == [("refused", "settled", "withdrawn"), ("waits", "settled", "answered")]
    assert entity.past["refused"].reason == "account_closed"
    assert [each.id for each in outcome.folded] == ["waits"]
    _nothing_happens(entity, ValueError, "refused", lambda: entity.arrive(reserve("refused", 1), T0, "again"))


# settle


def test_a_capture_in_part_takes_that_end() -> None:
    entity = entity_with(10, Operation("pay", Pay(6), answer_by=at(9), settle_by=at(9)))
    outcome = entity.settle("pay", T0, end=1, note="half")
    assert [(each.how, each.end, each.note) for each in outcome.changed] == [("captured", 1, "half")]
    assert entity.state == 7


def test_a_release_gives_back() -> None:
    entity = entity_with(10, reserve("order", 6))
    outcome = entity.settle("order", T0, -1, "failed", note="by the shop")
    (released,) = outcome.changed
    assert (released.how, released.end, released.reason, released.note) == ("released", -1, "failed", "by the shop")
    assert entity.state == 10


@pytest.mark.parametrize("end", [2, -2])
def test_an_end_that_it_has_not_is_an_error(end: int) -> None:
    entity = entity_with(10, reserve("order", 6))
    _nothing_happens(entity, ValueError, f"order.* {end}", lambda: entity.settle("order", at(200), end))


def test_what_is_not_reserved_stays_as_it_is() -> None:
    entity = entity_with(5, final("past", Credit(1)), reserve("order", 4), reserve("waits", 3), behind("outside", "x"))
    before = list(entity)
    for operation_id in ("past", "waits", "outside"):
        assert entity.settle(operation_id, T0) == Outcome()
        assert entity.settle(operation_id, T0, -1, "failed") == Outcome()
    assert entity.settle("unknown", T0) == Outcome()
    assert list(entity) == before


def test_an_end_is_not_taken_by_what_time_has_only_now_reserved() -> None:
    # Its end could not be looked at before time had passed, and the error would come too late.
    entity = entity_with(5, reserve("first", 5, settle_by=10), reserve("second", 5))
    outcome = entity.settle("second", at(10), end=7)
    assert told(outcome) == [("first", "settled", "expired"), ("second", "reserved", None)]


# withdraw


def test_what_waits_is_withdrawn_unless_it_is_irrevocable() -> None:
    entity = entity_with(5, reserve("order", 4), reserve("revocable", 3), final("double", Multiply(2)))
    assert told(entity.withdraw("revocable", T0, "cancelled")) == [("revocable", "settled", "withdrawn")]
    assert entity.withdraw("double", T0, "cancelled") == Outcome()
    assert entity.withdraw("order", T0, "cancelled") == Outcome()
    assert [(each.id, each.end) for each in entity if each.status == "settled"] == [("revocable", None)]


def test_an_irrevocable_one_is_withdrawn_while_it_stands_outside() -> None:
    entity = entity_with(5, Operation("double", Multiply(2), frozenset({"no one"}), at(9)))
    assert told(entity.withdraw("double", T0, "cancelled")) == [("double", "settled", "withdrawn")]
    assert len(entity) == 0


def test_a_cancel_that_overtakes_its_order_leaves_a_tombstone() -> None:
    entity = entity_with(5, behind("waits", "order"))
    outcome = entity.withdraw("order", T0, "cancelled", note="by the client")
    assert told(outcome) == [("order", "settled", "withdrawn"), ("waits", "settled", "answered")]
    tombstone = entity.find("order")
    assert tombstone
    assert (tombstone.kind, tombstone.reason, tombstone.note) == (None, "cancelled", "by the client")
    assert [each.id for each in outcome.folded] == ["waits"]
    _nothing_happens(entity, ValueError, "order", lambda: entity.arrive(reserve("order", 1), T0))


# after


def test_outside_nothing_is_answered_and_nobody_is_blocked() -> None:
    entity = entity_with(5, behind("credit", "order"))
    assert status(entity, "credit") == "outside"
    assert told(entity.arrive(reserve("buys", 6), T0)) == [("buys", "settled", "answered")]
    assert told(entity.arrive(reserve("order", 5), T0)) == [
        ("order", "reserved", None),
        ("credit", "settled", "answered"),
    ]


def test_naming_what_has_joined_or_is_past_is_no_wait() -> None:
    entity = entity_with(5, final("past", Credit(1)), reserve("open", 1))
    outcome = entity.arrive(behind("new", "past", "open"), T0)
    assert [(each.id, each.how, each.after) for each in outcome.changed] == [("new", "answered", frozenset())]


def test_what_is_still_missing_is_told() -> None:
    entity = entity_with(5, behind("new", "a", "b"))
    outcome = entity.arrive(reserve("b", 1), T0)
    assert [(each.id, [*each.after]) for each in outcome.changed] == [("b", []), ("new", ["a"])]


def test_one_that_joins_in_the_same_transition_is_told_to_miss_fewer_before_it_joins() -> None:
    # `first` joins behind `new`; `second` names both, and misses one for a moment.
    entity = entity_with(5, behind("second", "new", "first"), behind("first", "new"))
    outcome = entity.arrive(reserve("new", 1), T0)
    assert [(each.id, [*each.after]) for each in outcome.changed] == [
        ("new", []),
        ("second", ["first"]),
        ("first", []),
        ("second", []),
    ]


def test_one_that_time_makes_miss_fewer_is_told_so_before_it_joins() -> None:
    entity = entity_with(5, behind("late", "no one", join_by=10), behind("second", "late", "new"))
    outcome = entity.arrive(reserve("new", 1), at(10))
    assert [each.id for each in outcome.changed] == ["late", "second", "new", "second"]


def test_those_that_can_join_do_so_in_the_order_of_arrival() -> None:
    entity = entity_with(5, behind("a", "c"), behind("b", "new"), behind("c", "new"), behind("d", "c"))
    outcome = entity.arrive(reserve("new", 1), T0)
    assert [each.id for each in outcome.changed] == ["new", "b", "c", "a", "d"]


def test_whoever_joins_after_a_later_arrival_keeps_that_order_when_the_entity_is_loaded_anew() -> None:
    entity = entity_with(5, behind("first", "second"), reserve("second", 5))
    assert [each.id for each in entity] == ["second", "first"]
    assert [each.place for each in entity] == [2, 3]
    assert [each.id for each in Entity(5, 3, reversed(list(entity)))] == ["second", "first"]


def test_two_that_name_each_other_both_end() -> None:
    entity = entity_with(5, behind("a", "b", join_by=10), behind("b", "a", join_by=20))
    outcome = entity.pass_time(at(10))
    assert [(each.id, each.reason) for each in outcome.changed] == [("a", "named_missing"), ("b", None)]
    assert len(entity) == 0


# deadlines


@pytest.mark.parametrize(
    ("operation", "reason", "how"),
    [
        (reserve("late", 2, settle_by=10), "deadline_passed", "expired"),
        (reserve("late", 5, answer_by=10), "wait_deadline_passed", "withdrawn"),
        (behind("late", "no one", join_by=10), "named_missing", "withdrawn"),
    ],
    ids=["reserved", "waiting", "outside"],
)
def test_a_deadline_has_its_effect_when_it_is_reached_and_not_before(
    operation: Operation[Any], reason: str, how: str
) -> None:
    entity = entity_with(5, reserve("order", 3), operation)
    assert entity.pass_time(at(9.999)) == Outcome()
    (ended,) = entity.pass_time(at(10)).changed
    assert (ended.id, ended.status, ended.reason, ended.how) == ("late", "settled", reason, how)


def test_a_reservation_of_many_ends_expires_without_effect() -> None:
    entity = entity_with(10, Operation("pay", Pay(6), answer_by=at(9), settle_by=at(9)))
    (expired,) = entity.pass_time(at(9)).changed
    assert (expired.how, expired.end, entity.state) == ("expired", -1, 10)


def test_a_capture_at_the_deadline_is_too_late() -> None:
    entity = entity_with(5, reserve("order", 3, settle_by=10))
    assert told(entity.settle("order", at(10))) == [("order", "settled", "expired")]
    assert entity.state == 5


def test_each_transition_lets_time_pass_first() -> None:
    transitions: list[Callable[[Entity[Any]], Outcome[Any]]] = [
        lambda entity: entity.arrive(reserve("new", 5), at(10)),
        lambda entity: entity.arrive(reserve("new", 5), at(10), "closed"),
        lambda entity: entity.withdraw("new", at(10), "cancelled"),
        lambda entity: entity.settle("new", at(10), -1, "failed"),
        lambda entity: entity.pass_time(at(10)),
    ]
    for transition in transitions:
        entity = entity_with(5, reserve("order", 3, settle_by=10))
        assert told(transition(entity))[0] == ("order", "settled", "expired")


def test_deadlines_have_their_effect_in_their_order_whoever_came_first() -> None:
    entity = entity_with(5, reserve("a", 1, settle_by=30), reserve("b", 1, settle_by=10), reserve("c", 1, settle_by=20))
    assert [each.id for each in entity.pass_time(at(50)).changed] == ["b", "c", "a"]


def test_one_that_a_deadline_makes_a_reservation_expires_by_its_own() -> None:
    entity = entity_with(5, reserve("a", 5, settle_by=10), reserve("b", 5, settle_by=20), reserve("c", 5, settle_by=30))
    assert told(entity.pass_time(at(25))) == [
        ("a", "settled", "expired"),
        ("b", "reserved", None),
        ("b", "settled", "expired"),
        ("c", "reserved", None),
    ]


def test_at_one_instant_a_reservation_in_front_expires_before_the_wait_behind_it_ends() -> None:
    entity = entity_with(5, reserve("a", 5, settle_by=10), reserve("b", 5, answer_by=10))
    assert told(entity.pass_time(at(10))) == [("a", "settled", "expired"), ("b", "reserved", None)]


def test_a_deadline_of_a_state_that_has_ended_has_no_effect() -> None:
    entity = entity_with(5, reserve("a", 5), reserve("b", 5, answer_by=10, settle_by=50))
    entity.settle("a", at(5), -1, "failed")
    assert entity.pass_time(at(10)) == Outcome()
    assert status(entity, "b") == "reserved"


# the state, and loading


def test_what_is_settled_leaves_the_log_in_its_order_when_the_front_is() -> None:
    entity = entity_with(9, reserve("a", 1), reserve("b", 2), final("c", Credit(3)))
    assert entity.settle("b", T0).folded == []
    assert [each.id for each in entity.settle("a", T0).folded] == ["a", "b", "c"]
    assert entity.state == 9


def test_a_loaded_entity_goes_on_where_it_was() -> None:
    entity = entity_with(9, final("past", Credit(1)), reserve("a", 6), reserve("b", 6), behind("c", "no one"))
    loaded: Entity[int] = Entity(entity.state, entity.places, list(entity))
    assert list(loaded) == list(entity)
    assert loaded.bounds == entity.bounds == (4, 10)
    assert loaded.settle("a", T0, -1, "failed") == entity.settle("a", T0, -1, "failed")
    assert loaded.pass_time(at(100)) == entity.pass_time(at(100))


def test_bounds_are_the_state_of_a_number_and_nothing_for_seats() -> None:
    assert Entity(7).bounds == (7, 7)
    assert Entity(frozenset[int]()).bounds is None


def test_bounds_are_exact_where_no_kind_claims_any() -> None:
    entity = entity_with(8, reserve("a", 3), final("b", Halve()))
    assert status(entity, "b") == "waiting"
    assert entity.bounds == (4, 5)


def test_seats() -> None:
    entity = entity_with(frozenset[int](), *(Operation(name, Seat(1), answer_by=at(9)) for name in ("a", "b")))
    entity.arrive(Operation("c", Seat(2), answer_by=at(9)), T0)
    assert [each.status for each in entity] == ["reserved", "waiting", "reserved"]
    assert told(entity.settle("a", T0)) == [("a", "settled", "captured"), ("b", "settled", "answered")]
    assert entity.state == frozenset({1})


def test_what_waits_or_stands_outside_has_no_answer_yet() -> None:
    entity = entity_with(5, reserve("a", 4), reserve("b", 4), behind("c", "no one"), final("d", Credit(1)))
    assert (len(entity), entity.unanswered) == (4, 2)
    entity.settle("a", T0, -1, "failed")
    assert entity.unanswered == 1
