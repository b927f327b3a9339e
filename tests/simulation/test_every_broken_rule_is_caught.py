"""The checks of the simulation bite: each rule, broken on purpose, is found within few seeds."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.evidence import record
from tests.simulation.mutants import Break, broken_rules
from tests.simulation.plan import plan
from tests.simulation.pure import run

SEEDS_MAX = 2000
SEEDS_MORE = 30
"""Run after the first that is caught, to see what else catches it."""
RULES = broken_rules()


CHECKS = frozenset(
    (
        "accepted is never refused",
        "accepted too early",
        "acceptance is told",
        "after",
        "announcements get out",
        "answers as kept",
        "as asked",
        "audit",
        "bounded wait",
        "cancels are answered",
        "conservation",
        "ended orders let go",
        "every saga ends",
        "exactly once",
        "goods conserved",
        "limits of codes",
        "needless wait",
        "needless wait outside",
        "never negative",
        "no healthy dead letter",
        "one answer",
        "order of arrival",
        "real-time order",
        "refused for a reason",
        "right answer",
        "sagas go on",
        "serial order",
        "told as kept",
        "waits are told",
    )
)
"""All that a run in memory is held to, but for raising no exception, which proves nothing of a check."""


@dataclass
class Caught:
    """`seeds`: how many it took. `checks`: by which it was caught, and in the seeds after that."""

    seeds: int
    checks: list[str]


def caught_by(rule: Break, patch: pytest.MonkeyPatch, seeds_max: int = SEEDS_MAX) -> Caught | None:
    """How a broken rule is caught; None if it is not."""
    rule(patch)
    caught: Caught | None = None
    for seed in range(seeds_max):
        checks = [each.check for each in run(plan(seed)).violations if each.check in CHECKS]
        if checks:
            caught = caught or Caught(seed + 1, [])
            caught.checks = list(dict.fromkeys([*caught.checks, *checks]))
        if caught and seed >= caught.seeds + SEEDS_MORE:
            break
    return caught


@pytest.fixture(scope="module")
def caught() -> dict[str, Caught]:
    """What was caught, by the rule's name."""
    return {}


@pytest.mark.parametrize("rule", RULES, ids=[rule.__name__ for rule in RULES])
def test_a_broken_rule_is_caught(rule: Break, monkeypatch: pytest.MonkeyPatch, caught: dict[str, Caught]) -> None:
    found = caught_by(rule, monkeypatch)
    assert found, f"{rule.__doc__} Not caught in {SEEDS_MAX} seeds."
    caught[rule.__name__] = found


def test_all_are_caught_and_every_check_catches_one(
    caught: dict[str, Caught], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print("\n| broken rule | seeds until caught | by the checks |\n| --- | --: | --- |")
        for name, found in caught.items():
            print(f"| {name.replace('_', ' ')} | {found.seeds} | {', '.join(found.checks)} |")
        record("broken rules, caught", f"{len(caught)} of {len(RULES)}")
    assert len(caught) == len(RULES) >= 30
    assert {check for found in caught.values() for check in found.checks} == CHECKS
