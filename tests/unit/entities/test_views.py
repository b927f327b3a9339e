"""What `waits` tells of each pending operation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.entities.views import Wait, waits
from holdfast.pending import Entity, Operation
from user_service.kinds import Credit, Multiply, Reserve

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: int) -> datetime:
    return T0 + timedelta(seconds=seconds)


def told(entity: Entity[Any], ahead_max: int = 10) -> dict[Any, tuple[int, tuple[Any, ...], datetime | None]]:
    return {each.operation.id: (each.position, each.ahead, each.until) for each in waits(entity, ahead_max)}


def entity_with(*operations: Operation[Any]) -> Entity[Any]:
    entity: Entity[Any] = Entity(10)
    for operation in operations:
        entity.arrive(operation, T0)
    return entity


def reserve(operation_id: str, size: int, answer_by: int, settle_by: int | None) -> Operation[Any]:
    return Operation(
        operation_id, Reserve(size), answer_by=at(answer_by), settle_by=None if settle_by is None else at(settle_by)
    )


def test_one_waits_for_the_open_ones_in_front_until_all_of_them_have_ended() -> None:
    entity = entity_with(
        reserve("a", 4, 50, 20), reserve("b", 4, 50, 30), Operation("c", Credit(1)), reserve("d", 9, 50, 40)
    )
    assert told(entity)["d"] == (3, ("a", "b"), at(30))


def test_its_own_deadline_ends_a_wait_earlier() -> None:
    assert told(entity_with(reserve("a", 8, 50, 20), reserve("b", 9, 15, 60)))["b"] == (1, ("a",), at(15))


def test_behind_one_that_waits_it_may_last_as_long_as_that_one_may_stay_reserved() -> None:
    entity = entity_with(reserve("a", 8, 50, 20), reserve("b", 9, 50, 30), reserve("c", 9, 50, 60))
    assert told(entity)["c"] == (2, ("a", "b"), at(30))


def test_behind_one_that_is_final_once_answered_it_lasts_as_long_as_that_one_waits() -> None:
    entity = entity_with(reserve("a", 8, 50, 20), Operation("b", Multiply(2)), reserve("c", 9, 50, 60))
    assert told(entity)["b"] == (1, ("a",), at(20))
    assert told(entity)["c"] == (2, ("a", "b"), at(20))


def test_only_their_owners_know_when_reservations_without_a_deadline_end() -> None:
    entity = entity_with(reserve("a", 8, 50, None), Operation("b", Multiply(2)), reserve("c", 15, 50, 60))
    assert told(entity)["b"] == (1, ("a",), None)
    assert told(entity)["c"] == (2, ("a", "b"), at(50))


def test_outside_one_waits_for_what_it_names_until_its_time_to_join() -> None:
    entity = entity_with(reserve("a", 8, 50, 20), Operation("b", Credit(1), frozenset("xy"), at(5)))
    assert told(entity)["b"] == (1, ("x", "y"), at(5))


def test_what_is_answered_waits_for_nothing() -> None:
    assert told(entity_with(reserve("a", 8, 50, 20)))["a"] == (0, (), None)


def test_no_more_ids_than_asked_for_are_told() -> None:
    entity = entity_with(
        reserve("a", 1, 50, 20),
        reserve("b", 1, 50, 20),
        reserve("c", 9, 50, 9),
        Operation("d", Credit(1), frozenset("xy"), at(5)),
    )
    assert [each.ahead for each in waits(entity, 1)] == [(), ("a",), ("a",), ("x",)]


def test_each_pending_operation_is_told_in_order() -> None:
    entity = entity_with(
        Operation("o", Credit(1), frozenset("x"), at(5)), reserve("a", 8, 50, 20), reserve("b", 9, 50, 20)
    )
    assert [type(each) for each in waits(entity, 1)] == [Wait] * 3
    assert [each.operation.id for each in waits(entity, 1)] == ["a", "b", "o"]


def test_what_stands_outside_is_behind_the_whole_log() -> None:
    outside: list[Operation[Any]] = [Operation(name, Credit(1), frozenset("x"), at(5)) for name in ("o", "p")]
    entity = entity_with(outside[0], reserve("a", 8, 50, 20), outside[1], reserve("b", 9, 50, 20))
    assert [each.position for each in waits(entity, 1)] == [0, 1, 2, 2]
