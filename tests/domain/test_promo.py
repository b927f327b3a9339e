"""What every state of a redemption does with every event, written out by hand and compared cell by cell.

A cell says: the new state, what is announced, and what is wanted of the account's use and of the code's; `.` nothing
happens; `!` the message contradicts what is known and is parked.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import pytest

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
from contracts.roles import Bonus, Multiply
from holdfast.delivery.words import Fact
from promo_service.promo import ASK_AGAIN_S_MAX, TABLE, AnswerOverdue, Contradiction, Situation, Step, decide
from promo_service.redemption import MISSES, Promo, Redemption, State
from promo_service.uses import Capture, Release, Take, Use, UseAwaited, UseRefused, UseTaken, Withdraw

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = UUID(int=7)
EARLIER = UUID(int=6)
PROMO = Promo("X2", Multiply(factor=2), None, None, 3)
WAITING = Redemption(
    ID,
    "a",
    "X2",
    "waiting",
    claimed_at=NOW,
    trace="t",
    effect=PROMO.effect,
    wait_until=NOW + timedelta(seconds=60),
    after=(EARLIER,),
    uses_max=3,
    revocable=True,
)
OF: dict[str, Any] = {"redemption_id": ID, "account_id": "a"}
ASKED: dict[str, Any] = {"account_id": "a", "operation_id": ID, "asked_by": "promo"}
AHEAD: dict[str, Any] = {"position": 1, "waits_for": (EARLIER,), "deadline": NOW + timedelta(seconds=5)}

EXPECTED = """
event           | unknown              | waiting                                          \
| claimed                                                        | redeemed         | refused
redeem          | waiting Take-account | .                                                \
| .                                                              | = promo.redeemed | = promo.refused
multiplied      | !                    | !                                                \
| redeemed promo.redeemed Capture-account Capture-code           | .                | !
credited        | !                    | !                                                \
| redeemed promo.redeemed Capture-account Capture-code           | .                | !
refused         | .                    | .                                                \
| refused promo.refused Release-account Release-code             | !                | .
overdue         | .                    | .                                                \
| = promo.claimed (again)                                        | .                | .
account_taken   | !                    | = Take-code                                      | ! | ! | !
code_taken      | !                    | claimed promo.claimed                            | ! | ! | !
account_awaited | !                    | = promo.waiting                                  | ! | ! | !
code_awaited    | !                    | = promo.waiting                                  | ! | ! | !
account_refused | !                    | refused promo.refused                            | ! | ! | !
code_refused    | !                    | refused promo.refused Release-account            | ! | ! | !
"""

EVENTS: dict[str, Fact] = {
    "redeem": RedeemPromo(**OF, code="X2"),
    "multiplied": CoinsMultiplied(**ASKED, factor=2, added=30),
    "credited": CoinsCredited(**ASKED, kind="bonus", amount=30),
    "refused": CoinsRefused(**ASKED, kind="multiply", reason="unknown_account"),
    "overdue": AnswerOverdue(redemption_id=ID),
    "account_taken": UseTaken(redemption_id=ID, use="account"),
    "code_taken": UseTaken(redemption_id=ID, use="code"),
    "account_awaited": UseAwaited(redemption_id=ID, use="account", **AHEAD),
    "code_awaited": UseAwaited(redemption_id=ID, use="code", **AHEAD),
    "account_refused": UseRefused(redemption_id=ID, use="account", reason="used_up"),
    "code_refused": UseRefused(redemption_id=ID, use="code", reason="used_up"),
}


def situation(state: str) -> Situation:
    if state == "unknown":
        return Situation(Redemption(ID), PROMO, NOW, code_hash="X2")
    added = 30 if state == "redeemed" else None
    reason = "unknown_account" if state == "refused" else None
    redemption = replace(WAITING, state=state, reason=reason, added=added, ask_again_at=NOW)  # type: ignore[arg-type]
    return Situation(redemption, PROMO, NOW, code_hash="X2")


def cells() -> list[tuple[str, str, str]]:
    head, *rows = [[cell.strip() for cell in line.split("|")] for line in EXPECTED.strip().splitlines()]
    return [(state, row[0], cell) for row in rows for state, cell in zip(head[1:], row[1:], strict=True)]


def told(before: Situation, after: Step) -> str:
    """What happened, in the words of the table."""
    words: list[str] = ["=" if after.redemption.state == before.redemption.state else after.redemption.state]
    words += [fact.type for fact in after.facts]
    words += [f"{type(want).__name__}-{want.use}" for want in after.wants]
    if after.again:
        assert after.again == after.redemption.asks == before.redemption.asks + 1
        words.append("(again)")
    return "." if words == ["="] else " ".join(words)


@pytest.mark.parametrize(("state", "event", "expected"), cells())
def test_each_state_meets_each_event(state: str, event: str, expected: str) -> None:
    at = situation(state)
    if expected == "!":
        with pytest.raises(Contradiction, match=str(ID)):
            decide(at, EVENTS[event])
    else:
        assert told(at, decide(at, EVENTS[event])) == expected


def test_the_table_has_a_move_for_every_state_and_event() -> None:
    assert set(TABLE) == set(get_args(State))
    kinds = {type(fact) for fact in EVENTS.values()}
    assert all(set(moves) == kinds for moves in TABLE.values())


@pytest.mark.parametrize(
    ("promo", "known", "reason"),
    [
        (None, {}, "unknown_code"),
        (PROMO, {"taken": True}, "already_redeemed"),
        (PROMO, {"taken": True, "used_up": True}, "already_redeemed"),
        (PROMO, {"used_up": True}, "used_up"),
        (replace(PROMO, valid_from=NOW + timedelta(seconds=1)), {}, "not_yet_valid"),
        (replace(PROMO, valid_until=NOW), {"used_up": True}, "no_longer_valid"),
        (replace(PROMO, valid_until=NOW), {"taken": True}, "already_redeemed"),
    ],
)
def test_a_code_that_surely_cannot_be_used_is_refused_without_a_claim(
    promo: Promo | None, known: dict[str, Any], reason: str
) -> None:
    at = Situation(Redemption(ID), promo, NOW, **known)
    step = decide(at, EVENTS["redeem"])
    kept = Redemption(ID, "a", state="refused", reason=reason, claimed_at=NOW)
    told_as = "already_redeemed" if known.get("taken") else "code_not_accepted"
    assert step == Step(kept, (PromoRefused(**OF, reason=told_as),))
    assert decide(replace(at, redemption=kept), EVENTS["redeem"]) == step


@pytest.mark.parametrize("promo", [PROMO, None])
@pytest.mark.parametrize("used_up", [False, True])
def test_after_too_many_misses_no_code_is_accepted_and_that_is_no_miss(promo: Promo | None, used_up: bool) -> None:
    at = Situation(Redemption(ID), promo, NOW, used_up=used_up, misses_max=4)
    for misses in range(4):
        reason = decide(replace(at, misses=misses), EVENTS["redeem"]).redemption.reason
        assert reason == (("used_up" if used_up else None) if promo else "unknown_code")
    step = decide(replace(at, misses=4), EVENTS["redeem"])
    assert (step.redemption.reason, step.wants) == ("too_many_misses", ())
    assert "too_many_misses" not in MISSES
    assert step.facts == (PromoRefused(**OF, reason="code_not_accepted"),)


def test_the_edges_of_validity_are_valid() -> None:
    promo = replace(PROMO, valid_from=NOW, valid_until=NOW + timedelta(microseconds=1))
    assert decide(Situation(Redemption(ID), promo, NOW), EVENTS["redeem"]).redemption.state == "waiting"


@pytest.mark.parametrize(("asked_s", "until_s"), [(60.0, 60), (None, 7)])
def test_a_redemption_keeps_what_its_code_says_when_it_comes(asked_s: float | None, until_s: int) -> None:
    promo = replace(PROMO, scarce="refuse")
    at = Situation(Redemption(ID, trace="t"), promo, NOW, wait_s=7.0, code_hash="X2")
    step = decide(at, RedeemPromo(**OF, code="X2", wait_s=asked_s, after=(EARLIER,)))
    until = NOW + timedelta(seconds=until_s)
    kept = replace(WAITING, wait_until=until, scarce="refuse", revocable=asked_s is not None)
    assert step == Step(kept, wants=(Take("account", 1),))


@pytest.mark.parametrize(("uses_max", "size"), [(3, 3), (None, COINS_MAX)])
def test_with_the_accounts_use_the_codes_is_claimed_as_the_code_said(uses_max: int | None, size: int) -> None:
    before = replace(WAITING, uses_max=uses_max)
    changed = Situation(before, replace(PROMO, uses_max=1), NOW)
    assert decide(changed, EVENTS["account_taken"]) == Step(before, wants=(Take("code", size),))


@pytest.mark.parametrize(("passed_s", "left_s"), [(0.0, 60.0), (59.5, 0.5), (60.0, 1e-6)])
@pytest.mark.parametrize("revocable", [True, False])
def test_with_both_uses_the_effect_is_asked_for_for_the_time_that_is_left(
    passed_s: float, left_s: float, revocable: bool
) -> None:
    redemption = replace(WAITING, awaits="code", revocable=revocable)
    now = NOW + timedelta(seconds=passed_s)
    step = decide(Situation(redemption, replace(PROMO, effect=Bonus(amount=5)), now), EVENTS["code_taken"])
    claimed = replace(redemption, state="claimed", awaits=None, ask_again_at=now + timedelta(seconds=30))
    question = PromoClaimed(
        **OF, effect=Multiply(factor=2), wait_s=left_s if revocable else None, join_s=left_s, after=(EARLIER,)
    )
    assert step == Step(claimed, (question,))


def test_a_redemption_says_once_that_it_waits() -> None:
    first = decide(situation("waiting"), EVENTS["account_awaited"])
    assert first.facts == (PromoWaiting(**OF, **AHEAD),)
    assert first.redemption.awaits == "account"
    second = decide(replace(situation("waiting"), redemption=first.redemption), EVENTS["code_awaited"])
    assert second == Step(replace(first.redemption, awaits="code"))


@pytest.mark.parametrize("use", ["account", "code"])
def test_a_redemption_of_a_scarce_code_gives_up_instead_of_waiting(use: Use) -> None:
    redemption = replace(WAITING, scarce="refuse")
    step = decide(Situation(redemption, PROMO, NOW), EVENTS[f"{use}_awaited"])
    assert step == Step(redemption, wants=(Withdraw(use, "used_up"),))


@pytest.mark.parametrize("awaits", [None, "account", "code"])
@pytest.mark.parametrize(
    ("use", "reason", "kept", "announced"),
    [
        ("account", "used_up", "already_redeemed", "already_redeemed"),
        ("account", "wait_deadline_passed", "wait_deadline_passed", "wait_deadline_passed"),
        ("account", "pending_limit", "pending_limit", "pending_limit"),
        ("code", "used_up", "used_up", "code_not_accepted"),
        ("code", "wait_deadline_passed", "wait_deadline_passed", "wait_deadline_passed"),
    ],
)
def test_without_a_use_the_redemption_is_refused(
    awaits: Use | None, use: Use, reason: str, kept: str, announced: str
) -> None:
    before = replace(WAITING, awaits=awaits)
    refused = UseRefused(redemption_id=ID, use=use, reason=reason)
    after = replace(before, state="refused", reason=kept, awaits=None, after=())
    wants = (Release("account", reason),) if use == "code" else ()
    step = decide(Situation(before, PROMO, NOW), refused)
    assert step == Step(after, (PromoRefused(**OF, reason=announced),), wants)


@pytest.mark.parametrize("event", ["multiplied", "credited"])
def test_a_redemption_that_took_effect_keeps_what_was_added_and_its_uses(event: str) -> None:
    before = situation("claimed").redemption
    redeemed = replace(before, state="redeemed", added=30, after=(), ask_again_at=None)
    announced = (PromoRedeemed(**OF, added=30),)
    step = decide(situation("claimed"), EVENTS[event])
    assert step == Step(redeemed, announced, (Capture("account"), Capture("code")))
    assert decide(Situation(redeemed, None, NOW, code_hash="X2"), EVENTS["redeem"]) == Step(redeemed, announced)


def test_a_redemption_whose_effect_was_refused_gives_back_its_uses() -> None:
    refused = replace(
        situation("claimed").redemption, state="refused", reason="unknown_account", after=(), ask_again_at=None
    )
    step = decide(situation("claimed"), EVENTS["refused"])
    wants = (Release("account", "unknown_account"), Release("code", "unknown_account"))
    assert step == Step(refused, (PromoRefused(**OF, reason="unknown_account"),), wants)
    unknown = replace(refused, reason=None)
    again = decide(Situation(unknown, PROMO, NOW, code_hash="X2"), EVENTS["redeem"])
    assert again == Step(unknown, (PromoRefused(**OF, reason="refused"),))


@pytest.mark.parametrize(("passed_s", "left_s"), [(0, 60.0), (40, 20.0), (60, 1.0), (7200, 1.0)])
@pytest.mark.parametrize("revocable", [True, False])
def test_the_effect_is_asked_for_again_as_it_was_for_the_time_that_is_left(
    passed_s: int, left_s: float, revocable: bool
) -> None:
    redemption = replace(situation("claimed").redemption, revocable=revocable)
    at = Situation(redemption, replace(PROMO, effect=Bonus(amount=5)), NOW + timedelta(seconds=passed_s))
    (question,) = decide(at, EVENTS["overdue"]).facts
    assert question == PromoClaimed(
        **OF, effect=Multiply(factor=2), wait_s=left_s if revocable else None, join_s=left_s, after=(EARLIER,)
    )


def test_the_effect_is_asked_for_later_and_later_up_to_an_hour_and_not_once_it_is_known() -> None:
    claimed = decide(situation("waiting"), EVENTS["code_taken"]).redemption
    assert claimed.ask_again_at == NOW + timedelta(seconds=30)
    at = replace(situation("claimed"), redemption=claimed, now=claimed.ask_again_at)
    pauses = []
    for _ in range(50):
        redemption = decide(at, EVENTS["overdue"]).redemption
        assert redemption.ask_again_at is not None
        pauses.append((redemption.ask_again_at - at.now).total_seconds())
        early = replace(at, redemption=redemption, now=redemption.ask_again_at - timedelta(microseconds=1))
        assert decide(early, EVENTS["overdue"]) == Step(redemption)
        at = replace(at, redemption=redemption, now=redemption.ask_again_at)
    never = replace(claimed, ask_again_at=None)
    assert decide(replace(at, redemption=never), EVENTS["overdue"]) == Step(never)
    assert pauses[:4] == [60, 120, 240, 480]
    assert set(pauses[7:]) == {ASK_AGAIN_S_MAX}


@pytest.mark.parametrize("state", ["waiting", "claimed", "redeemed", "refused"])
@pytest.mark.parametrize("other", [{"code_hash": "X3"}, {"account_id": "b"}])
def test_the_same_id_for_another_redemption_contradicts(state: str, other: dict[str, str]) -> None:
    at = replace(situation(state), code_hash=other.get("code_hash", "X2"))
    fact = EVENTS["redeem"].model_copy(update={"account_id": other.get("account_id", "a")})
    with pytest.raises(Contradiction, match="use a new id"):
        decide(at, fact)
