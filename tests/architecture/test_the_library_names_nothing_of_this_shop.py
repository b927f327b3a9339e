"""The code of the library has no word of this shop in it: in names, comments and texts alike."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contracts.services import SERVICES

ROOT = Path(__file__).parents[2]
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
"""Of names as well: `account_id` and `CoinsReserved` are two words each."""

OF_THE_SHOP = re.compile(
    r"accounts?|balances?|catalog|coins?|contracts|customers?|fulfilment|gifts?|goods|promos?|purchases?|redemptions?"
    r"|shops?|stock|warehouse",
    re.IGNORECASE,
)
"""Not `order`, `item`, `code` and `use`: in the library they are a sequence, what a mapping has, the program, and to
use.
"""

SERVICE = re.compile("|".join(SERVICES), re.IGNORECASE)


def named(text: str) -> list[str]:
    """The words and services of this shop that stand in the text."""
    return [each for each in WORD.findall(text) if OF_THE_SHOP.fullmatch(each)] + SERVICE.findall(text)


def test_no_word_of_this_shop_stands_in_the_library() -> None:
    paths = sorted((ROOT / "holdfast").rglob("*.py"))
    assert len(paths) > 30
    lines = [(path, *line) for path in paths for line in enumerate(path.read_text().splitlines(), start=1)]
    assert [f"{path.relative_to(ROOT)}:{number}: {line}" for path, number, line in lines if named(line)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from contracts.base import Fact", ["contracts"]),
        ("class CoinsReserved(Fact):", ["Coins"]),
        ('subject_field = "account_id"', ["account"]),
        ("an account, an item and a code", ["account"]),
        ("such as `USER_SERVICE_`", ["USER_SERVICE"]),
        ("A Contract in their order: for code in names.items()", []),
    ],
)
def test_such_a_word_is_found(text: str, found: list[str]) -> None:
    assert named(text) == found
