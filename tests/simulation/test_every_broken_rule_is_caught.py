"""The checks of the simulation bite: each rule, broken on purpose, is found within few seeds."""

from __future__ import annotations

import pytest

from tests.evidence import record
from tests.simulation.mutants import Break, broken_rules
from tests.simulation.plan import plan
from tests.simulation.pure import run

SEEDS_MAX = 2000
RULES = broken_rules()


def caught_by(rule: Break, patch: pytest.MonkeyPatch, seeds_max: int = SEEDS_MAX) -> tuple[int, str] | None:
    """After how many seeds a broken rule is caught, and by which checks."""
    rule(patch)
    for seed in range(seeds_max):
        found = run(plan(seed)).violations
        if found:
            return seed + 1, ", ".join(dict.fromkeys(each.check for each in found))
    return None


@pytest.mark.parametrize("rule", RULES, ids=[rule.__name__ for rule in RULES])
def test_a_broken_rule_is_caught(rule: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    found = caught_by(rule, monkeypatch)
    assert found, f"{rule.__doc__} Not caught in {SEEDS_MAX} seeds."
    print(f"{rule.__name__}: caught after {found[0]} seeds by: {found[1]}")


def test_there_are_enough_of_them_to_be_worth_a_figure() -> None:
    assert len(RULES) >= 30
    record("broken rules, all caught", str(len(RULES)))
