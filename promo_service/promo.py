"""One redemption through its states, as a table of what every state does with every event. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from contracts.base import COINS_MAX
from contracts.commands import RedeemPromo
from contracts.events import (
    CoinsCredited,
    CoinsMultiplied,
    CoinsRefused,
    PromoClaimed,
    PromoRedeemed,
    PromoRefused,
    PromoWaiting,
)
from holdfast.delivery.words import Exchange, Fact
from promo_service.kinds import USED_UP
from promo_service.redemption import Promo, Redemption, State, told
from promo_service.uses import Capture, Release, Take, UseAwaited, UseRefused, UseTaken, Want, Withdraw

ASK_AGAIN_S_MAX = 3600.0
"""The longest pause before the user service is asked again, in seconds."""

WAIT_S_MIN = 1.0
"""How long an effect may still wait, in seconds, that is asked for again when its time is over."""

JOIN_S_MAX = 900.0
"""How long an effect stands outside its account for what it names, in seconds at most: it keeps its use of the code
meanwhile, and what it names may be a redemption that waits for that use.
"""

LEFT_S_MIN = 1e-6
"""The shortest wait that is asked for at first, in seconds: what clocks and `timedelta` tell apart."""


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
class Situation:
    """What a move looks at. `promo` is None for an unknown code. `taken`: the account has used the code, for certain.
    `used_up`: so have others, as often as it may be.
    `wait_s`: how long a redemption may wait that names no limit of its own. `ask_again_s`: how long the first answer is
    waited for. `code_hash`: that of the code which the command names. `misses`: codes of the account that were not
    accepted in the last hour, of which there may be `misses_max`.
    """

    redemption: Redemption
    promo: Promo | None
    now: datetime
    taken: bool = False
    used_up: bool = False
    wait_s: float = 86_400.0
    ask_again_s: float = 30.0
    code_hash: str = ""
    misses: int = 0
    misses_max: int = 10


@dataclass(frozen=True, slots=True)
class Step:
    """What an event made of the redemption, what is announced, and what it wants of the uses of its code.

    `again`: not 0 if `facts` are a question that is asked again for the n-th time.
    """

    redemption: Redemption
    facts: tuple[Fact, ...] = ()
    wants: tuple[Want, ...] = ()
    again: int = 0


Move = Callable[[Situation, Fact], Step]


def decide(at: Situation, fact: Fact) -> Step:
    """What the fact makes of the redemption. Raises `Contradiction` where it cannot be true of it."""
    return TABLE[at.redemption.state][type(fact)](at, fact)


def _redeem(at: Situation, fact: Fact) -> Step:
    """Refuse what is certain to be refused. Else claim the account's use, with what the code says now."""
    assert isinstance(fact, RedeemPromo)
    redemption = replace(at.redemption, account_id=fact.account_id, code_hash=at.code_hash, claimed_at=at.now)
    reason = _why_not(at)
    if reason or at.promo is None:
        return _refuse(redemption, reason or "unknown_code")
    redemption = replace(
        redemption,
        state="waiting",
        effect=at.promo.effect,
        uses_max=at.promo.uses_max,
        scarce=at.promo.scarce,
        wait_until=at.now + timedelta(seconds=fact.wait_s or at.wait_s),
        revocable=fact.wait_s is not None,
        after=fact.after,
    )
    return Step(redemption, wants=(Take("account", 1),))


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
    if at.used_up:
        return USED_UP.reason
    return None


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
        case "waiting" | "claimed":
            return Step(redemption)
        case _:
            said = PromoRefused.model_validate({**of, "reason": told(redemption.reason or "refused")})
    return Step(redemption, (said,))


def _take(at: Situation, fact: Fact) -> Step:
    """With the account's use, claim one of the code's; with both, ask for the effect."""
    assert isinstance(fact, UseTaken)
    redemption = at.redemption
    if fact.use == "account":
        return Step(redemption, wants=(Take("code", redemption.uses_max or COINS_MAX),))
    ask_again_at = at.now + timedelta(seconds=at.ask_again_s)
    claimed = replace(redemption, state="claimed", awaits=None, ask_again_at=ask_again_at)
    return Step(claimed, (_claimed(claimed, at.now, LEFT_S_MIN),))


def _claimed(redemption: Redemption, now: datetime, left_s_min: float) -> Fact:
    assert redemption.effect is not None
    assert redemption.wait_until is not None
    left_s = max((redemption.wait_until - now).total_seconds(), left_s_min)
    return PromoClaimed(
        redemption_id=redemption.id,
        account_id=redemption.account_id,
        effect=redemption.effect,
        wait_s=left_s if redemption.revocable else None,
        join_s=min(left_s, JOIN_S_MAX),
        after=redemption.after,
    )


def _await(at: Situation, fact: Fact) -> Step:
    """Say once that it waits, if its code lets it; which of the two uses it waits for is nobody's business."""
    assert isinstance(fact, UseAwaited)
    redemption = at.redemption
    if redemption.scarce == "refuse":
        return Step(redemption, wants=(Withdraw(fact.use, USED_UP.reason),))
    waiting = PromoWaiting(
        redemption_id=redemption.id,
        account_id=redemption.account_id,
        position=fact.position,
        waits_for=fact.waits_for,
        deadline=fact.deadline,
    )
    return Step(replace(redemption, awaits=fact.use), () if redemption.awaits else (waiting,))


def _do_without(at: Situation, fact: Fact) -> Step:
    """There is no use for it: where it was the code's, the account's is free again."""
    assert isinstance(fact, UseRefused)
    if fact.use == "code":
        return _refuse(at.redemption, fact.reason, (Release("account", fact.reason),))
    return _refuse(at.redemption, "already_redeemed" if fact.reason == USED_UP.reason else fact.reason)


def _overdue(at: Situation, fact: Fact) -> Step:
    """Ask once more, for the time that is left, and wait twice as long for the answer.

    Nothing if another replica has just asked.
    """
    redemption = at.redemption
    if redemption.ask_again_at is None or at.now < redemption.ask_again_at:
        return Step(redemption)
    asks = redemption.asks + 1
    pause_s = min(at.ask_again_s * 2 ** min(asks, 32), ASK_AGAIN_S_MAX)
    asked = replace(redemption, asks=asks, ask_again_at=at.now + timedelta(seconds=pause_s))
    return Step(asked, (_claimed(asked, at.now, WAIT_S_MIN),), again=asks)


def _take_effect(at: Situation, fact: Fact) -> Step:
    """The account has the coins: both uses are used for good."""
    assert isinstance(fact, CoinsMultiplied | CoinsCredited)
    added = fact.added if isinstance(fact, CoinsMultiplied) else fact.amount
    redemption = replace(at.redemption, state="redeemed", added=added, after=(), ask_again_at=None)
    redeemed = PromoRedeemed(redemption_id=redemption.id, account_id=redemption.account_id, added=added)
    return Step(redemption, (redeemed,), (Capture("account"), Capture("code")))


def _give_back(at: Situation, fact: Fact) -> Step:
    """The account refused the effect: both uses are free again."""
    assert isinstance(fact, CoinsRefused)
    return _refuse(at.redemption, fact.reason, (Release("account", fact.reason), Release("code", fact.reason)))


def _refuse(redemption: Redemption, reason: str, wants: tuple[Want, ...] = ()) -> Step:
    refused = replace(redemption, state="refused", reason=reason, after=(), ask_again_at=None, awaits=None)
    fact = PromoRefused(redemption_id=redemption.id, account_id=redemption.account_id, reason=told(reason))
    return Step(refused, (fact,), wants)


def _ignore(at: Situation, fact: Fact) -> Step:
    """Late or doubled: the redemption has moved on."""
    return Step(at.redemption)


def _contradict(at: Situation, fact: Fact) -> Step:
    raise Contradiction(f"{fact.type} for redemption {at.redemption.id}, which is {at.redemption.state}")


_NO_CLAIM: Mapping[type[Fact], Move] = {UseTaken: _contradict, UseAwaited: _contradict, UseRefused: _contradict}
"""No claim of it waits, so none is answered."""

TABLE: Mapping[State, Mapping[type[Fact], Move]] = {
    "unknown": {
        RedeemPromo: _redeem,
        CoinsMultiplied: _contradict,
        CoinsCredited: _contradict,
        CoinsRefused: _ignore,
        AnswerOverdue: _ignore,
        **_NO_CLAIM,
    },
    "waiting": {
        RedeemPromo: _redeem_again,
        CoinsMultiplied: _contradict,
        CoinsCredited: _contradict,
        CoinsRefused: _ignore,
        AnswerOverdue: _ignore,
        UseTaken: _take,
        UseAwaited: _await,
        UseRefused: _do_without,
    },
    "claimed": {
        RedeemPromo: _redeem_again,
        CoinsMultiplied: _take_effect,
        CoinsCredited: _take_effect,
        CoinsRefused: _give_back,
        AnswerOverdue: _overdue,
        **_NO_CLAIM,
    },
    "redeemed": {
        RedeemPromo: _redeem_again,
        CoinsMultiplied: _ignore,
        CoinsCredited: _ignore,
        CoinsRefused: _contradict,
        AnswerOverdue: _ignore,
        **_NO_CLAIM,
    },
    "refused": {
        RedeemPromo: _redeem_again,
        CoinsMultiplied: _contradict,
        CoinsCredited: _contradict,
        CoinsRefused: _ignore,
        AnswerOverdue: _ignore,
        **_NO_CLAIM,
    },
}
"""What every state does with every event: early, late and doubled ones included."""
