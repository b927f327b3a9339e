"""What the shop's kinds claim, and that a false claim is found."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import order_service.kinds
import promo_service.kinds
import user_service.kinds
from contracts.base import COINS_MAX
from holdfast.pending import NumberKind, Refused
from order_service.kinds import Restock, Take
from promo_service.kinds import Claim
from tests.unit.pending.claims import broken_claim
from tests.unit.pending.subjects import Halve, OddOnly, Pay, TopUp
from user_service.kinds import Bonus, Credit, Fee, Multiply, Receive, Reserve

SMALL = range(-3, 25)
LARGE = [*range(6), *range(COINS_MAX // 3 - 2, COINS_MAX // 3 + 3), *range(COINS_MAX // 2 - 3, COINS_MAX // 2 + 4)]
LARGE += range(COINS_MAX - 8, COINS_MAX + 1)
KINDS: list[NumberKind] = [
    *(kind(size) for kind in (Credit, Bonus, Receive, Reserve) for size in (1, 2, 7, COINS_MAX // 2, COINS_MAX)),
    *(Multiply(factor) for factor in (1, 2, 3, 10)),
    *(Fee(percent) for percent in (1, 10, 50, 99, 100)),
    *(Take(size) for size in (1, 2, 7)),
    *(Restock(size) for size in (-7, -1, 0, 1, 7)),
    *(Claim(uses) for uses in (0, 1, 2, 7)),
    *(Pay(size) for size in (1, 2, 7)),
]


def test_every_kind_of_the_shop_is_tried() -> None:
    services = (user_service.kinds.KINDS, order_service.kinds.KINDS, promo_service.kinds.KINDS)
    assert {kind for kinds in services for kind in kinds.values()} <= {type(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("states", [SMALL, LARGE], ids=["small", "large"])
def test_what_a_kind_claims_holds(kind: NumberKind, states: list[int]) -> None:
    assert broken_claim(kind, states) is None


@pytest.mark.parametrize("kind", [TopUp(), OddOnly(), Halve()], ids=str)
def test_a_kind_that_is_not_monotone_claims_nothing(kind: NumberKind) -> None:
    assert kind.hull(0, 10) is None
    assert broken_claim(kind, SMALL) is None


@dataclass(frozen=True, slots=True)
class TopUpWithClaim(NumberKind):
    """Who has less gets more: three states of which two get nothing, and one between that gets something."""

    def answer(self, state: int) -> int:
        return 5 if 3 <= state < 5 else 0

    def adds(self, answer: int) -> tuple[int, ...]:
        return (answer,)


@dataclass(frozen=True, slots=True)
class EvenOnly(NumberKind):
    def answer(self, state: int) -> str | Refused:
        return Refused("odd") if state % 2 else f"{state} is even"

    def adds(self, answer: str) -> tuple[int, ...]:
        return (0,)


@dataclass(frozen=True, slots=True)
class NarrowHull(NumberKind):
    def answer(self, state: int) -> int:
        return state

    def adds(self, answer: int) -> tuple[int, ...]:
        return (answer, 0)

    def hull(self, least: int, greatest: int) -> tuple[int, int]:
        return 2 * least, 2 * greatest


@dataclass(frozen=True, slots=True)
class OtherEnds(Credit):
    def ends(self, state: int, answer: int) -> tuple[int, ...]:
        return (state,)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (TopUpWithClaim(), "at 3, between 0 and 5: another answer, 5"),
        (EvenOnly(), "at 1, between 0 and 2: refused"),
        (NarrowHull(), "at 1, between 1 and 1: ends (2, 1) outside of (2, 2)"),
        (OtherEnds(3), "at 0: ends (0,), but adds (3,)"),
    ],
    ids=["answer", "refusal", "hull", "ends"],
)
def test_a_false_claim_is_found(kind: NumberKind, found: str) -> None:
    assert broken_claim(kind, range(9)) == found
