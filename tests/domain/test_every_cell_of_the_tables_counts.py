"""Each cell of the tables of moves, replaced by every other move, is noticed by the tests of its table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from types import ModuleType
from typing import Any

import pytest

from order_service import order
from promo_service import promo
from tests.domain import test_order, test_promo

Check = tuple[Callable[..., None], dict[str, Any]]

TOO_SLOW = "test_goods_and_endings_agree_after_any_history"

SAME: dict[ModuleType, dict[tuple[str, str], tuple[str, ...]]] = {
    # An order that is not in its last state has nothing to say again; one that is unknown is placed as if placed again;
    # one that is cancelled, and is cancelled, stays as it is. The stock has nothing to say to one that lacks no pieces.
    order: {
        ("_ignore", "_say_again"): ("unknown", "placed", "reserved", "confirmed"),
        ("_place", "_place_again"): ("unknown",),
        ("_cancel_again", "_cancel"): ("cancelled",),
        ("_contradict", "_taken"): ("unknown", "confirmed", "completed"),
        ("_contradict", "_no_goods"): ("unknown", "confirmed", "completed"),
    },
    # Of an unknown redemption nothing was asked that could be asked again.
    promo: {("_ignore", "_overdue"): ("unknown",)},
}
"""The moves that are the same as another in these states."""


def checks(module: ModuleType) -> Iterator[Check]:
    """Every test of the module, with all its parameters."""
    for name, test in vars(module).items():
        if name.startswith("test_") and name != TOO_SLOW:
            sets = []
            for mark in getattr(test, "pytestmark", ()):
                names, values = mark.args
                names = names if isinstance(names, tuple) else (names,)
                sets.append([dict(zip(names, row if len(names) > 1 else (row,), strict=True)) for row in values])
            for chosen in product(*sets):
                yield test, {name: value for each in chosen for name, value in each.items()}


def notices(check: Check) -> bool:
    """Whether the test fails."""
    test, arguments = check
    try:
        test(**arguments)
    except (Exception, pytest.fail.Exception):
        return True
    return False


@pytest.mark.parametrize(("rules", "tests"), [(order, test_order), (promo, test_promo)], ids=["orders", "promos"])
def test_a_cell_with_another_move_is_noticed(rules: Any, tests: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = list(checks(tests))
    assert not any(map(notices, everything))
    moves = {move.__name__: move for row in rules.TABLE.values() for move in row.values()}
    event_of = {type(fact): name for name, fact in tests.EVENTS.items()}
    changed, missed = 0, []
    for state, row in rules.TABLE.items():
        for fact, move in list(row.items()):
            own = {"state": state, "event": event_of[fact]}
            nearest_first = sorted(everything, key=lambda check: not own.items() <= check[1].items())
            for other in moves.keys() - {move.__name__}:
                changed += 1
                monkeypatch.setitem(row, fact, moves[other])
                if not any(map(notices, nearest_first)):
                    missed.append((state, fact.__name__, move.__name__, other))
                monkeypatch.undo()
    same = SAME[rules]
    survivors = [each for each in missed if each[0] not in same.get((each[2], each[3]), ())]
    print(f"{changed} changed cells of {rules.__name__}, {len(missed)} of them without effect")
    assert not survivors
    assert {(each[2], each[3]) for each in missed} == same.keys()
