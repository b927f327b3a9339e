"""What a transition costs does not depend on how many reservations are in flight. Counted in calls, not in seconds."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from holdfast.pending import Entity, Operation
from user_service.kinds import Multiply, Reserve

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LATER = T0.replace(year=2027)
BALANCE = 10**9


def calls(function: Callable[[], object]) -> int:
    """How many functions are called, in Python and in C."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def reserve(operation_id: object, size: int = 3) -> Operation[Any]:
    return Operation(operation_id, Reserve(size), answer_by=LATER, settle_by=LATER)


def outside(operation_id: object, *names: object) -> Operation[Any]:
    return Operation(operation_id, Reserve(3), frozenset(names), LATER, LATER, LATER)


def in_flight(number: int) -> Entity[int]:
    entity: Entity[int] = Entity(BALANCE)
    for each in range(number):
        entity.arrive(reserve(each), T0)
    return entity


@pytest.mark.parametrize("oldest", [False, True], ids=["newest", "oldest"])
def test_to_arrive_and_to_settle_costs_with_1000_in_flight_what_it_costs_with_one(oldest: bool) -> None:
    def cost(number: int) -> int:
        entity = in_flight(number)
        settled = 0 if oldest else "new"
        return calls(lambda: (entity.arrive(reserve("new"), T0), entity.settle(settled, T0)))

    assert cost(1_000) <= 2 * cost(1)


def test_to_arrive_behind_one_that_waits_costs_with_1000_in_flight_what_it_costs_with_one() -> None:
    def cost(number: int) -> int:
        entity = in_flight(number)
        entity.arrive(Operation("waits", Multiply(2)), T0)
        entity.arrive(reserve("second", BALANCE - 1), T0)
        return calls(lambda: (entity.arrive(reserve("new"), T0), entity.settle("new", T0)))

    assert cost(1_000) <= 2 * cost(1)


def test_to_settle_in_front_of_one_that_waits_costs_with_1000_in_flight_what_it_costs_with_one() -> None:
    def cost(number: int) -> int:
        entity = in_flight(number)
        entity.arrive(Operation("waits", Multiply(2)), T0)
        return calls(lambda: entity.settle(number // 2, T0))

    assert cost(1_000) <= 2 * cost(1)


def test_what_arrives_behind_a_thousand_that_wait_is_answered_without_looking_at_them() -> None:
    def cost(number: int) -> int:
        entity = in_flight(1)
        for each in range(number):
            entity.arrive(reserve(f"waits {each}", BALANCE), T0)
        return calls(lambda: entity.arrive(reserve("new", BALANCE + 1), T0))

    assert cost(1_000) <= 2 * cost(1)


def test_what_joins_costs_with_1000_outside_that_do_not_name_it_what_it_costs_with_one() -> None:
    def cost(number: int) -> int:
        entity: Entity[int] = Entity(BALANCE)
        for each in range(number):
            entity.arrive(outside(each, f"named by {each}"), T0)
        entity.arrive(outside("last", "new"), T0)
        return calls(lambda: (entity.arrive(reserve("new"), T0), entity.settle("new", T0)))

    assert cost(1_000) <= 2 * cost(1)


def test_what_joins_costs_with_200_outside_that_name_256_what_it_costs_where_they_name_one() -> None:
    def cost(number: int) -> int:
        entity: Entity[int] = Entity(BALANCE)
        for each in range(200):
            # Their hashes are computed in Python, so that each look is counted.
            entity.arrive(outside(each, *(UUID(int=256 * each + other) for other in range(number))), T0)
        new = UUID(int=2**100)
        return calls(lambda: (entity.arrive(reserve(new), T0), entity.settle(new, T0)))

    assert cost(256) == cost(1)


def test_what_is_kept_does_not_grow_with_what_has_ended_before_its_deadline() -> None:
    entity: Entity[int] = Entity(BALANCE)
    bytes_kept: list[int] = []
    for each in range(2_000):
        entity.arrive(reserve("new"), T0)
        entity.settle("new", T0)
        entity.arrive(outside("waits", f"named by {each}", f"by {each} too"), T0)
        entity.withdraw("waits", T0, "cancelled")
        entity.past.clear()
        bytes_kept.append(len(pickle.dumps(entity)))
    assert max(bytes_kept) <= 2 * max(bytes_kept[:100])


def test_a_deadline_of_one_among_1000_in_flight_costs_what_it_costs_among_two() -> None:
    def cost(number: int) -> int:
        entity = in_flight(number)
        entity.arrive(Operation("due", Reserve(3), answer_by=LATER, settle_by=T0.replace(month=2)), T0)
        return calls(lambda: entity.pass_time(T0.replace(month=3)))

    assert cost(1_000) <= 2 * cost(1)


def test_a_thousand_deadlines_at_once_cost_a_thousand_times_what_one_costs() -> None:
    def cost(number: int) -> int:
        entity = in_flight(number)
        return calls(lambda: entity.pass_time(LATER))

    assert cost(1_000) <= 1_100 * cost(1)
