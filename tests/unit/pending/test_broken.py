"""The brute force finds every broken rule, within a few hundred histories."""

from __future__ import annotations

import pytest

from tests.unit.pending.broken import BROKEN
from tests.unit.pending.brute_force import Fault, history
from tests.unit.pending.subjects import SUBJECTS

HISTORIES = 600
"""At most, of all entities together."""


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, expected = BROKEN[name]
    rule(monkeypatch)
    assert any(_fault(number) == expected for number in range(HISTORIES))


def _fault(number: int) -> object:
    try:
        history(SUBJECTS[number % len(SUBJECTS)], number // len(SUBJECTS))
    except Fault as fault:
        return fault.args[0]
    return None
