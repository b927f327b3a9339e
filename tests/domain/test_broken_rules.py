"""The brute force finds a rule that is broken on purpose: each of these within few histories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from contracts.events import OperationKind
from tests.domain.test_brute_force import check
from tests.domain.witness import Broken
from user_service import account as rules
from user_service.operation import Answer, Interval, Operation, answer, span

HISTORIES_MAX = 400

Rule = Callable[[pytest.MonkeyPatch], None]


def _answered_on_low(kind: OperationKind, patch: pytest.MonkeyPatch) -> None:
    """`answer` is asked for the low end, then for the high one; the second time, it repeats the first."""
    low: list[int] = []

    def broken(asked: OperationKind, size: int, balance: int) -> Answer:
        if asked == kind:
            if low:
                balance = low.pop()
            else:
                low.append(balance)
        return answer(asked, size, balance)

    patch.setattr(rules, "answer", broken)


def doubling_does_not_wait(patch: pytest.MonkeyPatch) -> None:
    _answered_on_low("multiply", patch)


def refused_as_soon_as_low_is_too_low(patch: pytest.MonkeyPatch) -> None:
    _answered_on_low("reserve", patch)


def named_place_does_not_hold_up_others(patch: pytest.MonkeyPatch) -> None:
    def broken(operation: Operation, before: Interval) -> Interval:
        return before if operation.state == "named" else span(operation, before)

    patch.setattr(rules, "span", broken)


def after_is_ignored(patch: pytest.MonkeyPatch) -> None:
    take_place = rules._take_place

    def broken(
        account: rules.Account, operation: Operation, _: tuple[UUID, ...], now: datetime, limits: rules.Limits
    ) -> rules.Account:
        return take_place(account, operation, (), now, limits)

    patch.setattr(rules, "_take_place", broken)


def late_capture_is_accepted(patch: pytest.MonkeyPatch) -> None:
    capture = rules.capture

    def broken(account: rules.Account, operation_id: UUID, now: datetime, cause: str) -> rules.Step:
        known = account.find(operation_id)
        in_time = known.deadline - timedelta(microseconds=1) if known and known.deadline else now
        return capture(account, operation_id, min(now, in_time), cause)

    patch.setattr(rules, "capture", broken)


def reservation_in_flight_does_not_lower_low(patch: pytest.MonkeyPatch) -> None:
    def broken(operation: Operation, before: Interval) -> Interval:
        return before if operation.state == "reserved" else span(operation, before)

    patch.setattr(rules, "span", broken)


def release_gives_the_coins_twice(patch: pytest.MonkeyPatch) -> None:
    put = rules._put

    def broken(account: rules.Account, operation: Operation) -> rules.Account:
        twice = replace(operation, delta=operation.size) if operation.state == "released" else operation
        return put(account, twice)

    patch.setattr(rules, "_put", broken)


def waiting_operation_outlives_its_deadline(patch: pytest.MonkeyPatch) -> None:
    take_place = rules._take_place

    def broken(
        account: rules.Account,
        operation: Operation,
        after: tuple[UUID, ...],
        now: datetime,
        limits: rules.Limits,
    ) -> rules.Account:
        patient = operation if operation.kind == "reserve" else replace(operation, deadline=None)
        return take_place(account, patient, after, now, limits)

    patch.setattr(rules, "_take_place", broken)


BROKEN: tuple[tuple[Rule, str], ...] = (
    (doubling_does_not_wait, "was told"),
    (refused_as_soon_as_low_is_too_low, "was told"),
    (named_place_does_not_hold_up_others, "was told"),
    (after_is_ignored, "order"),
    (late_capture_is_accepted, "coins.captured"),
    (reservation_in_flight_does_not_lower_low, "was told"),
    (release_gives_the_coins_twice, "in all worlds"),
    (waiting_operation_outlives_its_deadline, "is open after its deadline"),
)


def caught() -> list[str]:
    """How each history that breaks is described."""
    found = []
    for seed in range(HISTORIES_MAX):
        try:
            check(seed)
        except Broken as broken:
            found.append(str(broken))
    return found


@pytest.mark.parametrize(("rule", "symptom"), BROKEN, ids=[rule.__name__ for rule, _ in BROKEN])
def test_a_broken_rule_is_caught(rule: Rule, symptom: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule(monkeypatch)
    found = caught()
    print(f"{rule.__name__}: caught by {len(found)} of {HISTORIES_MAX} histories")
    assert any(symptom in each for each in found), found[:3]


def test_the_unbroken_rules_pass_the_same_histories() -> None:
    assert caught() == []
