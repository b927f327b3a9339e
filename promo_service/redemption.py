"""A promo code and a redemption, as they are kept. Pure.

Why a code is not accepted is kept for the operator and told nobody, and after some such codes the account's next ones
are not accepted either. That slows down who guesses for one account. Who invents many accounts gets around it: what
protects a generated code is that it is one of 2**80.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from contracts.base import Scarce
from contracts.roles import PromoEffect
from promo_service.uses import Use

MISSES = ("unknown_code", "not_yet_valid", "no_longer_valid", "used_up")
"""Why a code is not accepted, as the promo service keeps it; each counts as a miss of its account."""

MISSES_S = 3600.0
"""How long a miss counts, in seconds."""

NOT_ACCEPTED = (*MISSES, "too_many_misses")
"""What all others are told as `code_not_accepted`."""

State = Literal["unknown", "waiting", "claimed", "redeemed", "refused"]


@dataclass(frozen=True, slots=True)
class Promo:
    """A promo code, known by its hash. `uses_max` None: no limit. `scarce`: whether who comes waits for a use."""

    code_hash: str
    effect: PromoEffect
    valid_from: datetime | None
    valid_until: datetime | None
    uses_max: int | None
    scarce: Scarce = "wait"


@dataclass(frozen=True, slots=True)
class Redemption:
    """One account's use of a code. `added`: coins it added, once redeemed. `reason`: why it was refused, precisely.

    `effect`, `uses_max` and `scarce`: what the code said when the redemption came, whatever became of it since.
    `wait_until`: how long it may wait, for a use and for the effect. `revocable`: the effect is withdrawn then, as the
    command says. `awaits`: the use that it waits for, or has waited for last. `after`: what the user service is told
    with the effect. `asks` and `ask_again_at`: how often it was asked again, and when it is next.
    """

    id: UUID
    account_id: str = ""
    code_hash: str = ""
    state: State = "unknown"
    reason: str | None = None
    added: int | None = None
    claimed_at: datetime | None = None
    trace: str | None = None
    effect: PromoEffect | None = None
    wait_until: datetime | None = None
    after: tuple[UUID, ...] = ()
    asks: int = 0
    ask_again_at: datetime | None = None
    uses_max: int | None = None
    scarce: Scarce = "wait"
    revocable: bool = False
    awaits: Use | None = None


def told(reason: str) -> str:
    """The reason of a refusal as everybody may know it: the same for every code that is not accepted."""
    return "code_not_accepted" if reason in NOT_ACCEPTED else reason
