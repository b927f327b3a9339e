"""Generated codes: 80 random bits, readable, and good as a promo code."""

from __future__ import annotations

import re
import secrets

import pytest

from client import codes
from contracts.commands import PutPromo
from contracts.roles import Bonus


def test_a_code_is_four_groups_of_four_of_thirty_two_characters() -> None:
    made = {codes.generate() for _ in range(1000)}
    assert len(made) == 1000
    assert len(set(codes.ALPHABET)) == 32
    assert all(re.fullmatch(rf"([{codes.ALPHABET}]{{4}}-){{3}}[{codes.ALPHABET}]{{4}}", each) for each in made)
    assert set("".join(made)) == {*codes.ALPHABET, "-"}


def test_each_character_is_drawn_by_itself_from_the_systems_source(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def choice(given: str) -> str:
        drawn.append(given)
        return given[len(drawn)]

    monkeypatch.setattr(secrets, "choice", choice)
    assert codes.generate() == "1234-5678-9ABC-DEFG"
    assert drawn == [codes.ALPHABET] * 16


def test_a_generated_code_is_a_code() -> None:
    for _ in range(1000):
        PutPromo(code=codes.generate(), effect=Bonus(amount=1))
