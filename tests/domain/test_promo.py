"""What every state of a redemption does with every event, written out by hand and compared cell by cell.

A cell says: the new state, what is announced, and `use+`/`use-` if a use of the code is taken or given back; `.`
nothing happens; `!` the message contradicts what is known and is parked.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID

import pytest

from contracts.base import Fact
from contracts.commands import RedeemPromo
from contracts.roles import Bonus, Multiply
from contracts.events import CoinsCredited, CoinsMultiplied, CoinsRefused, PromoClaimed, PromoRedeemed, PromoRefused
from promo_service.promo import (
    ASK_AGAIN_S_MAX,
    MISSES,
    TABLE,
    AnswerOverdue,
    Contradiction,
    Promo,
    Redemption,
    Situation,
    State,
    Step,
    decide,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = UUID(int=7)
EARLIER = UUID(int=6)
PROMO = Promo("X2", Multiply(factor=2), None, None, 3, uses=1)

EXPECTED = """
event      | unknown                     | claimed                     | redeemed         | refused
redeem     | claimed promo.claimed use+  | .                           | = promo.redeemed | = promo.refused
multiplied | !                           | redeemed promo.redeemed     | .                | !
credited   | !                           | redeemed promo.redeemed     | .                | !
refused    | .                           | refused promo.refused use-  | !                | .
overdue    | .                           | = promo.claimed (again)     | .                | .
"""

EVENTS: dict[str, Fact] = {
    "redeem": RedeemPromo(redemption_id=ID, account_id="a", code="X2"),
    "multiplied": CoinsMultiplied(account_id="a", operation_id=ID, factor=2, added=30),
    "credited": CoinsCredited(account_id="a", operation_id=ID, kind="bonus", amount=30),
    "refused": CoinsRefused(account_id="a", operation_id=ID, kind="multiply", reason="unknown_account"),
    "overdue": AnswerOverdue(redemption_id=ID),
}


def situation(state: str) -> Situation:
    if state == "unknown":
        return Situation(Redemption(ID), PROMO, taken=False, now=NOW, code_hash="X2")
    added = 30 if state == "redeemed" else None
    reason = "unknown_account" if state == "refused" else None
    redemption = Redemption(ID, "a", "X2", state, reason, added, NOW)  # type: ignore[arg-type]
    until = NOW + timedelta(seconds=60)
    redemption = replace(redemption, effect=Multiply(factor=2), wait_until=until, after=(EARLIER,), ask_again_at=NOW)
    return Situation(redemption, PROMO, taken=False, now=NOW, code_hash="X2")


def cells() -> list[tuple[str, str, str]]:
    head, *rows = [[cell.strip() for cell in line.split("|")] for line in EXPECTED.strip().splitlines()]
    return [(state, row[0], cell) for row in rows for state, cell in zip(head[1:], row[1:], strict=True)]


def told(before: Situation, after: Step) -> str:
    """What happened, in the words of the table."""
    words: list[str] = ["=" if after.redemption.state == before.redemption.state else after.redemption.state]
    words += [fact.type for fact in after.facts]
    assert before.promo is not None
    assert after.promo is not None
    if after.promo.uses != before.promo.uses:
        words.append("use+" if after.promo.uses > before.promo.uses else "use-")
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
    ("promo", "taken", "reason"),
    [
        (None, False, "unknown_code"),
        (PROMO, True, "already_redeemed"),
        (replace(PROMO, uses=3), False, "used_up"),
        (replace(PROMO, valid_from=NOW + timedelta(seconds=1)), False, "not_yet_valid"),
        (replace(PROMO, valid_until=NOW), False, "no_longer_valid"),
    ],
)
def test_a_code_that_cannot_be_used_refuses_and_keeps_its_uses(promo: Promo | None, taken: bool, reason: str) -> None:
    step = decide(Situation(Redemption(ID), promo, taken, NOW), EVENTS["redeem"])
    assert (step.redemption.state, step.redemption.reason, step.promo) == ("refused", reason, promo)
    told_as = "already_redeemed" if taken else "code_not_accepted"
    assert step.facts == (PromoRefused(redemption_id=ID, account_id="a", reason=told_as),)
    again = decide(Situation(step.redemption, promo, taken, NOW), EVENTS["redeem"])
    assert again.facts == step.facts


@pytest.mark.parametrize("promo", [PROMO, None, replace(PROMO, uses=3)])
def test_after_too_many_misses_no_code_is_accepted_and_that_is_no_miss(promo: Promo | None) -> None:
    at = Situation(Redemption(ID), promo, False, NOW, misses_max=4)
    for misses in range(4):
        reason = decide(replace(at, misses=misses), EVENTS["redeem"]).redemption.reason
        assert reason == {PROMO: None, None: "unknown_code"}.get(promo, "used_up")
    step = decide(replace(at, misses=4), EVENTS["redeem"])
    assert (step.redemption.reason, step.promo) == ("too_many_misses", promo)
    assert "too_many_misses" not in MISSES
    assert step.facts == (PromoRefused(redemption_id=ID, account_id="a", reason="code_not_accepted"),)


@pytest.mark.parametrize(
    "promo",
    [
        replace(PROMO, valid_from=NOW, valid_until=NOW + timedelta(seconds=1)),
        replace(PROMO, uses_max=None, uses=10**6),
        replace(PROMO, uses=2),
    ],
)
def test_the_edges_of_validity_are_valid(promo: Promo) -> None:
    assert decide(Situation(Redemption(ID), promo, False, NOW), EVENTS["redeem"]).redemption.state == "claimed"


def test_what_was_added_is_told() -> None:
    step = decide(situation("claimed"), EVENTS["multiplied"])
    assert step.facts == (PromoRedeemed(redemption_id=ID, account_id="a", added=30),)


@pytest.mark.parametrize(("passed_s", "wait_s"), [(0, 60.0), (40, 20.0), (60, 1.0), (7200, 1.0)])
def test_the_effect_is_asked_for_again_as_it_was_for_the_time_that_is_left(passed_s: int, wait_s: float) -> None:
    changed = replace(PROMO, effect=Bonus(amount=5))
    at = replace(situation("claimed"), promo=changed, now=NOW + timedelta(seconds=passed_s))
    (question,) = decide(at, EVENTS["overdue"]).facts
    assert isinstance(question, PromoClaimed)
    assert (question.effect, question.wait_s, question.after) == (Multiply(factor=2), wait_s, (EARLIER,))


def test_the_effect_is_asked_for_later_and_later_up_to_an_hour_and_not_once_it_is_known() -> None:
    claimed = decide(situation("unknown"), EVENTS["redeem"]).redemption
    assert claimed.ask_again_at == NOW + timedelta(seconds=30)
    at = replace(situation("claimed"), redemption=claimed, now=claimed.ask_again_at)
    pauses = []
    for _ in range(50):
        redemption = decide(at, EVENTS["overdue"]).redemption
        assert redemption.ask_again_at is not None
        pauses.append((redemption.ask_again_at - at.now).total_seconds())
        early = replace(at, redemption=redemption, now=redemption.ask_again_at - timedelta(microseconds=1))
        assert decide(early, EVENTS["overdue"]).facts == ()
        at = replace(at, redemption=redemption, now=redemption.ask_again_at)
    assert pauses[:4] == [60, 120, 240, 480]
    assert set(pauses[7:]) == {ASK_AGAIN_S_MAX}
    for answer in ("multiplied", "refused"):
        assert decide(at, EVENTS[answer]).redemption.ask_again_at is None


def test_the_same_id_for_another_redemption_contradicts() -> None:
    at = replace(situation("claimed"), code_hash="X3")
    with pytest.raises(Contradiction, match="use a new id"):
        decide(at, EVENTS["redeem"])
