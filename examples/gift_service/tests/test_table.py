"""The table cell by cell, against one written down here: what each state makes of each event, and what is announced."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import pytest

from contracts.events import (
    CoinsCaptured,
    CoinsCredited,
    CoinsExpired,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
)
from contracts.topology import SHOP
from examples.gift_service.facts import AnswerOverdue, DeadlinePassed, Side
from examples.gift_service.gift import TABLE, decide
from examples.gift_service.moves import ASK_AGAIN_S_MAX, WITHDRAWALS_MAX, Contradiction, Situation
from examples.gift_service.state import Gift
from examples.gift_service.words import (
    CancelGift,
    GiftAnnounced,
    GiftFailed,
    GiftOffered,
    GiftState,
    GiftWithdrawn,
    SendGift,
)
from holdfast.delivery.words import DURATION_S_MAX, Fact

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SOON, LONG_AGO = NOW + timedelta(seconds=600), NOW - timedelta(days=1)
ID = UUID(int=7)
SENT = SendGift(gift_id=ID, account_id="ada", receiver_id="bob", amount=20)
BEFORE = Gift(ID, "ada", "bob", 20, began_at=LONG_AGO, trace="t", deadline=SOON, ask_again_at=LONG_AGO)

# One word for what becomes of it: nothing (`-`), a contradiction (`!`), or the state and what is announced.
EXPECTED = """
                   unknown              offered              announced                        sent                           delivered         owed                 returning          completed          returned          failed                cancelled
gift.send          offered:offered      -                    -                                -                              -                 -                    -                  completed:completed returned:returned failed:failed         cancelled:cancelled
gift.cancel        cancelled:cancelled  cancelled:cancelled  cancelled:cancelled+withdrawn    sent:cancel_refused            delivered:cancel_refused owed:cancel_refused returning:cancel_refused completed:cancel_refused returned:cancel_refused failed:cancel_refused cancelled:cancelled
deadline           -                    -                    -                                -                              -                 -                    -                  -                  -                 -                     -
overdue            -                    offered:offered      announced:announced              sent:sent                      delivered:delivered owed:owed          returning:returning -                 -                 failed:withdrawn      cancelled:withdrawn
giver.reserved     !                    announced:announced  -                                -                              -                 -                    -                  -                  -                 failed:failed         cancelled:cancelled
giver.refused      !                    failed:failed        failed:failed+withdrawn          failed:failed+withdrawn        !                 !                    !                  !                  !                 -                     -
giver.captured     !                    !                    !                                delivered:delivered            -                 -                    -                  -                  -                 !                     !
giver.released     !                    failed:failed        failed:failed+withdrawn          failed:failed+withdrawn        !                 !                    !                  !                  !                 -                     -
giver.expired      !                    failed:failed        failed:failed+withdrawn          failed:failed+withdrawn        !                 !                    !                  !                  !                 -                     -
receiver.reserved  !                    !                    sent:sent                        -                              -                 -                    -                  -                  -                 failed:withdrawn      cancelled:withdrawn
receiver.refused   !                    !                    failed:failed                    !                              owed:owed         -                    -                  !                  -                 -                     -
receiver.captured  !                    !                    !                                !                              completed:completed !                  !                  -                  !                 !                     !
receiver.released  !                    !                    failed:failed                    -                              owed:owed         -                    -                  !                  -                 -                     -
receiver.expired   !                    !                    failed:failed                    -                              owed:owed         -                    -                  !                  -                 -                     -
credit.credited    !                    !                    !                                !                              !                 completed:completed  returned:returned  -                  -                 !                     !
credit.refused     !                    !                    !                                !                              !                 returning:returning  returning          !                  !                 !                     !
"""  # noqa: E501

STATES, *LINES = [line.split() for line in EXPECTED.strip().splitlines()]
CELLS = [(state, line[0], cell) for line in LINES for state, cell in zip(STATES, line[1:], strict=True)]
ANSWERS: dict[str, type[Fact]] = {
    "reserved": CoinsReserved,
    "refused": CoinsRefused,
    "captured": CoinsCaptured,
    "released": CoinsReleased,
    "expired": CoinsExpired,
    "credited": CoinsCredited,
}


def at(state: str, **changed: Any) -> Situation:
    """A gift in this state, whose question has been open for long."""
    if state == "unknown":
        return Situation(Gift(ID), NOW)
    credits_ = {"owed": 1, "returning": 2, "returned": 2}.get(state, 0)
    deadline = SOON if state in ("offered", "announced") else None
    more: Any = {"state": state, "credits": credits_, "deadline": deadline, **changed}
    return Situation(replace(BEFORE, **more), NOW)


def event(name: str) -> tuple[Fact, Side | None]:
    """The fact of this name, and the operation that it is about."""
    of: Any = {"gift_id": ID}
    match name.partition("."):
        case ("gift", _, "send"):
            return SENT, None
        case ("gift", _, "cancel"):
            return CancelGift(gift_id=ID, account_id="ada"), None
        case ("deadline", _, _):
            return DeadlinePassed(**of), None
        case ("overdue", _, _):
            return AnswerOverdue(**of), None
        case (side, _, answer):
            told = {"account_id": "x", "operation_id": ID, "asked_by": "gift", "amount": 20, "deadline": SOON}
            said = {**told, "kind": "reserve", "reason": "balance_limit"}
            return ANSWERS[answer].model_validate(said), next(each for each in get_args(Side) if each == side)


def test_every_cell_is_written_down() -> None:
    assert set(STATES) == TABLE.keys()
    assert set(STATES) == {"unknown", *get_args(GiftState)}
    for state in TABLE:
        assert len(TABLE[state]) == len(LINES)


def test_all_that_is_sent_to_it_is_in_the_table() -> None:
    told = {each if isinstance(each, type) else each[1] for each in TABLE["offered"]}
    assert told - {DeadlinePassed, AnswerOverdue} == set(SHOP.facts_for("gift_service").values())


@pytest.mark.parametrize(("state", "name", "cell"), CELLS)
def test_cell(state: str, name: str, cell: str) -> None:
    situation, (fact, side) = at(state), event(name)
    if cell == "!":
        with pytest.raises(Contradiction, match=str(ID)):
            decide(situation, fact, side)
        return
    step = decide(situation, fact, side)
    after, _, announced = cell.partition(":")
    assert step.gift.state == (state if cell == "-" else after)
    assert [each.type for each in step.facts] == [f"gift.{each}" for each in announced.split("+") if each]
    is_open = step.gift.state in ("offered", "announced", "sent", "delivered", "owed", "returning")
    if step.gift.state != state:
        assert (step.gift.ask_again_at is not None) == (is_open or "withdrawn" in announced)
        assert step.gift.asks == 0
    if not is_open:
        assert step.gift.deadline is None
    assert step.again == (step.gift.asks if name == "overdue" else 0)


def test_each_question_is_about_the_right_account_and_operation() -> None:
    for state, name, account, operation in (
        ("unknown", "gift.send", "ada", ID),
        ("offered", "giver.reserved", "bob", BEFORE.room_id),
        ("announced", "receiver.reserved", "ada", ID),
        ("sent", "giver.captured", "bob", BEFORE.room_id),
        ("delivered", "receiver.expired", "bob", replace(BEFORE, credits=1).credit_id),
        ("owed", "credit.refused", "ada", replace(BEFORE, credits=2).credit_id),
        ("returning", "overdue", "ada", replace(BEFORE, credits=2).credit_id),
    ):
        (asked,) = decide(at(state), *event(name)).facts
        assert (asked.subject, asked.saga) == (account, str(operation)), state
    assert len({ID, BEFORE.room_id, *(replace(BEFORE, credits=n).credit_id for n in (1, 2, 3))}) == 5


def test_the_room_outlasts_the_givers_reservation_by_far() -> None:
    (offered,) = decide(at("unknown"), SENT.model_copy(update={"deadline_s": 86_400.0})).facts
    (announced,) = decide(at("offered"), *event("giver.reserved")).facts
    assert isinstance(offered, GiftOffered)
    assert isinstance(announced, GiftAnnounced)
    assert announced.hold_s == DURATION_S_MAX >= 30 * offered.hold_s


def test_the_coins_are_asked_for_again_for_the_time_that_is_left() -> None:
    after = (UUID(int=1), UUID(int=2))
    (asked,) = decide(at("offered", after=after), *event("overdue")).facts
    assert asked == GiftOffered(gift_id=ID, account_id="ada", amount=20, hold_s=600.0, after=after)


def test_a_question_is_asked_again_ever_more_seldom() -> None:
    situation, pauses = at("sent", ask_again_at=NOW), []
    for _ in range(10):
        step = decide(situation, *event("overdue"))
        assert step.gift.ask_again_at
        pauses.append((step.gift.ask_again_at - situation.now).total_seconds())
        early = replace(situation, gift=step.gift)
        assert decide(early, *event("overdue")).facts == ()
        situation = replace(situation, gift=step.gift, now=step.gift.ask_again_at)
    assert pauses == [min(30.0 * 2**n, ASK_AGAIN_S_MAX) for n in range(1, 11)]


@pytest.mark.parametrize("state", ["offered", "announced"])
@pytest.mark.parametrize("name", ["deadline", "gift.send", "gift.cancel", "giver.reserved"])
def test_a_deadline_that_has_passed_has_its_effect_first(state: str, name: str) -> None:
    situation = replace(at(state), now=SOON)
    step = decide(situation, *event(name))
    assert (step.gift.state, step.gift.reason) == ("failed", "deadline_passed")
    kinds = [type(each) for each in step.facts]
    assert kinds[: 2 if state == "announced" else 1] == [GiftFailed, GiftWithdrawn][: 2 if state == "announced" else 1]
    assert kinds.count(GiftFailed) == 1


def test_a_room_that_nobody_says_is_gone_is_given_up_a_few_times() -> None:
    situation = at("sent")
    step, times = decide(situation, *event("giver.expired")), 0
    while step.gift.ask_again_at:
        situation = replace(situation, gift=step.gift, now=step.gift.ask_again_at)
        step, times = decide(situation, *event("overdue")), times + 1
        assert [each.type for each in step.facts] == ["gift.withdrawn"]
    assert times == WITHDRAWALS_MAX
    first = decide(at("sent"), *event("giver.expired")).gift
    assert decide(replace(situation, gift=first), *event("receiver.released")).gift.ask_again_at is None


def test_refused_credits_to_the_giver_are_tried_under_new_ids_after_a_pause() -> None:
    situation, ids = at("returning", asks=3), set()
    for _ in range(4):
        ids.add(situation.gift.credit_id)
        step = decide(situation, *event("credit.refused"))
        assert step.facts == ()
        assert step.gift.ask_again_at
        assert step.gift.ask_again_at > situation.now
        situation = replace(situation, gift=step.gift, now=step.gift.ask_again_at)
        step = decide(situation, *event("overdue"))
        assert [each.saga for each in step.facts] == [str(step.gift.credit_id)]
        situation = replace(situation, gift=step.gift)
    assert len(ids) == 4


def test_once_a_credit_was_asked_for_only_that_is_how_the_coins_come() -> None:
    completed = at("completed")
    credited = replace(completed, gift=replace(completed.gift, credits=1))
    for name in ("receiver.expired", "receiver.released", "receiver.refused"):
        assert decide(credited, *event(name)).gift is credited.gift
    with pytest.raises(Contradiction):
        decide(credited, *event("receiver.captured"))


@pytest.mark.parametrize(
    ("state", "name", "reason"),
    [
        ("offered", "giver.refused", "balance_limit"),
        ("offered", "giver.expired", "reservation_expired"),
        ("sent", "giver.released", "reservation_released"),
        ("announced", "receiver.refused", "receiver_balance_limit"),
        ("announced", "receiver.expired", "receiver_reservation_expired"),
        ("owed", "credit.refused", "receiver_balance_limit"),
    ],
)
def test_a_reason_says_on_which_side_it_is(state: str, name: str, reason: str) -> None:
    assert decide(at(state), *event(name)).gift.reason == reason


@pytest.mark.parametrize("changed", [{"account_id": "eve"}, {"receiver_id": "eve"}, {"amount": 21}])
@pytest.mark.parametrize("state", [each for each in STATES if each != "unknown"])
def test_an_id_is_of_one_gift(state: str, changed: dict[str, Any]) -> None:
    with pytest.raises(Contradiction, match="used for another gift"):
        decide(at(state), SENT.model_copy(update=changed))


@pytest.mark.parametrize("state", [each for each in STATES if each != "unknown"])
def test_nobody_cancels_anothers_gift(state: str) -> None:
    (refused,) = decide(at(state), CancelGift(gift_id=ID, account_id="eve")).facts
    assert (refused.type, getattr(refused, "reason", None)) == ("gift.cancel_refused", "other_account")


def test_a_tombstone_stops_its_own_gift_and_no_other() -> None:
    tombstone = decide(at("unknown"), *event("gift.cancel")).gift
    assert decide(Situation(tombstone, NOW), SENT).gift.state == "cancelled"
    other = decide(Situation(tombstone, NOW), SENT.model_copy(update={"account_id": "eve"})).gift
    assert (other.state, other.account_id) == ("offered", "eve")
