"""Spin visits every state of the model: nothing is wrong in any, and each broken rule is caught."""

from __future__ import annotations

import pytest

from model.check import NotChecked, check, read
from model.configurations import BROKEN_RULES, CONFIGURATIONS, BrokenRule, Configuration

QUICK = [each for each in CONFIGURATIONS if not each.slow]
SECONDS_MAX = 300


@pytest.mark.timeout(900)
@pytest.mark.parametrize("configuration", QUICK, ids=lambda each: each.name)
def test_nothing_is_wrong_in_any_state(configuration: Configuration) -> None:
    result = check(configuration, SECONDS_MAX)
    assert result.wrong is None
    assert result.states > 1000


@pytest.mark.timeout(900)
@pytest.mark.parametrize("rule", BROKEN_RULES, ids=lambda each: each.name)
def test_a_broken_rule_is_caught(rule: BrokenRule) -> None:
    result = check(rule.configuration, SECONDS_MAX)
    assert result.wrong is not None
    assert rule.says in result.wrong


@pytest.mark.parametrize("sign", ["pan: out of memory", "error: max search depth too small", "Search not completed"])
def test_a_search_that_stopped_halfway_is_no_proof(sign: str) -> None:
    report = f"{sign}\nState-vector 60 byte, depth reached 39, errors: 0\n 75967 states, stored\n"
    with pytest.raises(NotChecked):
        read(report)
