"""Faults of every kind, one after the other, for some minutes: every saga ends, and nothing is found wrong."""

from __future__ import annotations

import os

import pytest

from local.parts import Parts
from tests.faults.mischief import Deck
from tests.faults.soak import report, soak

SECONDS = float(os.environ.get("HOLDFAST_SOAK_S", "180"))
SEED = int(os.environ.get("HOLDFAST_SOAK_SEED", "1"))


def test_each_kind_of_fault_comes_once_before_any_comes_again() -> None:
    kinds = {"one", "two", "three", "four"}
    decks = Deck(SEED), Deck(SEED)
    dealt = [decks[0].deal(kinds) for _ in range(3 * len(kinds))]
    assert dealt == [decks[1].deal(kinds) for _ in dealt]
    for first in range(0, len(dealt), len(kinds)):
        assert set(dealt[first : first + len(kinds)]) == kinds


@pytest.mark.timeout(240 + int(SECONDS * 1.5))
async def test_nothing_is_lost_whatever_happens(mortal_parts: Parts) -> None:
    report(await soak(mortal_parts, SECONDS, SEED), SECONDS, SEED)
