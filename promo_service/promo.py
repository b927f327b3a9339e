"""One redemption through its states, as a table of what every state does with every event. Pure: no I/O, no clock.

Why a code is not accepted is kept for the operator and told nobody, and after some such codes the account's next ones
are not accepted either. That slows down who guesses for one account. Who invents many accounts gets around it: what
protects a generated code is that it is one of 2**80.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar, Literal
from uuid import UUID

from contracts.base import Exchange, Fact
from contracts.commands import RedeemPromo
from contracts.roles import PromoEffect
from contracts.events import CoinsCredited, CoinsMultiplied, CoinsRefused, PromoClaimed, PromoRedeemed, PromoRefused

ASK_AGAIN_S_MAX = 3600.0
"""The longest pause before the user service is asked again, in seconds."""

WAIT_S_MIN = 1.0
"""How long an effect may still wait, in seconds, that is asked for again when its time is over."""

MISSES = ("unknown_code", "not_yet_valid", "no_longer_valid", "used_up")
"""Why a code is not accepted, as the promo service keeps it; each counts as a miss of its account."""

MISSES_S = 3600.0
"""How long a miss counts, in seconds."""

NOT_ACCEPTED = (*MISSES, "too_many_misses")
"""What all others are told as `code_not_accepted`."""

State = Literal["unknown", "claimed", "redeemed", "refused"]


class Contradiction(Exception):
    """A message that contradicts what is known of the redemption; the text says how. It has no effect."""


class AnswerOverdue(Fact):
    """The user service has not answered for a while: the question or its answer may be lost. Sent to itself."""

    type: ClassVar[str] = "promo.answer_overdue"
    exchange: ClassVar[Exchange] = "promo"
    saga_field: ClassVar[str] = "redemption_id"
    subject_field: ClassVar[str] = "redemption_id"

    redemption_id: UUID


@dataclass(frozen=True, slots=True)
class Promo:
    """A promo code, known by its hash. `uses`: redemptions that are claimed or redeemed; `uses_max` None: no limit."""

    code_hash: str
    effect: PromoEffect
    valid_from: datetime | None
    valid_until: datetime | None
    uses_max: int | None
    uses: int = 0


@dataclass(frozen=True, slots=True)
class Redemption:
    """One account's use of a code. `added`: coins it added, once redeemed. `reason`: why it was refused, precisely.

    `effect`, `wait_until` and `after`: what the user service was asked for, and is asked for again whatever became of
    the code since. `asks` and `ask_again_at`: how often it was asked again, and when it is next.
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


@dataclass(frozen=True, slots=True)
class Situation:
    """What a move looks at. `promo` is None for an unknown code. `taken`: the account has used the code already.
    `wait_s`: how long an effect may wait that names no limit of its own. `ask_again_s`: how long the first answer is
    waited for. `code_hash`: that of the code which the command names. `misses`: codes of the account that were not
    accepted in the last hour, of which there may be `misses_max`.
    """

    redemption: Redemption
    promo: Promo | None
    taken: bool
    now: datetime
    wait_s: float = 86_400.0
    ask_again_s: float = 30.0
    code_hash: str = ""
    misses: int = 0
    misses_max: int = 10


@dataclass(frozen=True, slots=True)
class Step:
    """What an event made of the redemption and of its code's uses, and what is announced.

    `again`: not 0 if `facts` are a question that is asked again for the n-th time.
    """

    redemption: Redemption
    promo: Promo | None
    facts: tuple[Fact, ...] = ()
    again: int = 0


Move = Callable[[Situation, Fact], Step]


def decide(at: Situation, fact: Fact) -> Step:
    """What the fact makes of the redemption. Raises `Contradiction` where it cannot be true of it."""
    return TABLE[at.redemption.state][type(fact)](at, fact)


def _redeem(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, RedeemPromo)
    redemption = replace(at.redemption, account_id=fact.account_id, code_hash=at.code_hash, claimed_at=at.now)
    reason = _why_not(at)
    if reason or at.promo is None:
        return _refuse(replace(at, redemption=redemption), reason or "unknown_code", at.promo)
    wait_s = fact.wait_s or at.wait_s
    redemption = replace(
        redemption,
        state="claimed",
        effect=at.promo.effect,
        wait_until=at.now + timedelta(seconds=wait_s),
        after=fact.after,
        ask_again_at=at.now + timedelta(seconds=at.ask_again_s),
    )
    promo = replace(at.promo, uses=at.promo.uses + 1)
    return Step(redemption, promo, (_claimed(redemption, wait_s),))


def _claimed(redemption: Redemption, wait_s: float) -> Fact:
    assert redemption.effect is not None
    return PromoClaimed(
        redemption_id=redemption.id,
        account_id=redemption.account_id,
        effect=redemption.effect,
        wait_s=wait_s,
        after=redemption.after,
    )


def _why_not(at: Situation) -> str | None:
    promo = at.promo
    if at.misses >= at.misses_max:
        return "too_many_misses"
    if promo is None:
        return "unknown_code"
    if at.taken:
        return "already_redeemed"
    if promo.valid_from and at.now < promo.valid_from:
        return "not_yet_valid"
    if promo.valid_until and at.now >= promo.valid_until:
        return "no_longer_valid"
    if promo.uses_max is not None and promo.uses >= promo.uses_max:
        return "used_up"
    return None


def told(reason: str) -> str:
    """The reason of a refusal as everybody may know it: the same for every code that is not accepted."""
    return "code_not_accepted" if reason in NOT_ACCEPTED else reason


def _redeem_again(at: Situation, fact: Fact) -> Step:
    """The same command again is told how it ended; the same id for something else contradicts it."""
    assert isinstance(fact, RedeemPromo)
    redemption = at.redemption
    if (redemption.account_id, redemption.code_hash) != (fact.account_id, at.code_hash):
        raise Contradiction(f"redemption_id: {redemption.id} was used for another redemption; use a new id for each")
    of = {"redemption_id": redemption.id, "account_id": redemption.account_id}
    said: Fact
    match redemption.state:
        case "redeemed":
            said = PromoRedeemed.model_validate({**of, "added": redemption.added})
        case "claimed":
            return Step(redemption, at.promo)
        case _:
            said = PromoRefused.model_validate({**of, "reason": told(redemption.reason or "refused")})
    return Step(redemption, at.promo, (said,))


def _overdue(at: Situation, fact: Fact) -> Step:
    """Ask once more, for the time that is left, and wait twice as long for the answer.

    Nothing if another replica has just asked.
    """
    redemption = at.redemption
    if redemption.ask_again_at is None or redemption.wait_until is None or at.now < redemption.ask_again_at:
        return Step(redemption, at.promo)
    asks = redemption.asks + 1
    pause_s = min(at.ask_again_s * 2 ** min(asks, 32), ASK_AGAIN_S_MAX)
    left_s = max((redemption.wait_until - at.now).total_seconds(), WAIT_S_MIN)
    asked = replace(redemption, asks=asks, ask_again_at=at.now + timedelta(seconds=pause_s))
    return Step(asked, at.promo, (_claimed(asked, left_s),), again=asks)


def _take_effect(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, CoinsMultiplied | CoinsCredited)
    added = fact.added if isinstance(fact, CoinsMultiplied) else fact.amount
    redemption = replace(at.redemption, state="redeemed", added=added, after=(), ask_again_at=None)
    redeemed = PromoRedeemed(redemption_id=redemption.id, account_id=redemption.account_id, added=added)
    return Step(redemption, at.promo, (redeemed,))


def _give_back(at: Situation, fact: Fact) -> Step:
    """The account refused the effect: the use is free again."""
    assert isinstance(fact, CoinsRefused)
    promo = replace(at.promo, uses=at.promo.uses - 1) if at.promo else None
    return _refuse(at, fact.reason, promo)


def _refuse(at: Situation, reason: str, promo: Promo | None) -> Step:
    redemption = replace(at.redemption, state="refused", reason=reason, after=(), ask_again_at=None)
    refused = PromoRefused(redemption_id=redemption.id, account_id=redemption.account_id, reason=told(reason))
    return Step(redemption, promo, (refused,))


def _ignore(at: Situation, fact: Fact) -> Step:
    """Late or doubled: the redemption has moved on."""
    return Step(at.redemption, at.promo)


def _contradict(at: Situation, fact: Fact) -> Step:
    raise Contradiction(f"{fact.type} for redemption {at.redemption.id}, which is {at.redemption.state}")


TABLE: Mapping[State, Mapping[type[Fact], Move]] = {
    "unknown": {
        RedeemPromo: _redeem,
        CoinsMultiplied: _contradict,
        CoinsCredited: _contradict,
        CoinsRefused: _ignore,
        AnswerOverdue: _ignore,
    },
    "claimed": {
        RedeemPromo: _redeem_again,
        CoinsMultiplied: _take_effect,
        CoinsCredited: _take_effect,
        CoinsRefused: _give_back,
        AnswerOverdue: _overdue,
    },
    "redeemed": {
        RedeemPromo: _redeem_again,
        CoinsMultiplied: _ignore,
        CoinsCredited: _ignore,
        CoinsRefused: _contradict,
        AnswerOverdue: _ignore,
    },
    "refused": {
        RedeemPromo: _redeem_again,
        CoinsMultiplied: _contradict,
        CoinsCredited: _contradict,
        CoinsRefused: _ignore,
        AnswerOverdue: _ignore,
    },
}
"""What every state does with every event: early, late and doubled ones included."""
