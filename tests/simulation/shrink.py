"""The shortest run that still goes wrong: fewer sagas and fewer faults, found by leaving some out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.simulation.plan import Plan

Fails = Callable[[Plan], bool]


def shrink(plan: Plan, fails: Fails) -> Plan:
    """A plan from which no single fault, account or saga can be left out without the failure going away."""
    while True:
        smaller = next((each for each in _smaller(plan) if fails(each)), None)
        if smaller is None:
            return plan
        plan = smaller


def _smaller(plan: Plan) -> list[Plan]:
    by_fault = [replace(plan, faults=plan.faults - {each}) for each in sorted(plan.faults)]
    by_account = [
        replace(plan, sagas=tuple(saga for saga in plan.sagas if saga.account != account))
        for account in dict.fromkeys(saga.account for saga in plan.sagas)
    ]
    by_saga = [replace(plan, sagas=plan.sagas[:number] + plan.sagas[number + 1 :]) for number in range(len(plan.sagas))]
    return [*by_account, *by_fault, *by_saga]
