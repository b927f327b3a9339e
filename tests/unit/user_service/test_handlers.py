"""What the account's service makes of messages beyond the rule: whose an operation is, repeats, traces, failures."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar
from unittest.mock import patch
from uuid import UUID

import pytest

from contracts.base import ShopFact
from contracts.commands import CreditAccount, PutItem
from contracts.events import (
    CoinsCaptured,
    CoinsExpired,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
    OrderConfirmed,
    OrderFailed,
    OrderPlaced,
    PromoRefused,
)
from contracts.roles import AsksReservation, ChangesBalance, ConfirmsReservation, Credit, GivesUpReservation
from holdfast.delivery.domain import Refused
from holdfast.delivery.words import Exchange, Fact
from holdfast.entities.entities import Entities
from holdfast.entities.tables import cause_of, state_of
from holdfast.pending import Entity
from tests.unit.user_service.moves import ACCOUNT, START, id_of, message, nobody, parse, play, play_table
from user_service.handlers import AccountHandlers, Limits, decide

LIMITS = Limits()
A, B, GIFT = id_of("a"), id_of("b"), id_of("gift")


class _Gift(ShopFact):
    exchange: ClassVar[Exchange] = "gift"
    saga_field: ClassVar[str] = "gift_id"

    gift_id: UUID


class Offered(_Gift, AsksReservation):
    type: ClassVar[str] = "gift.offered"


class Announced(_Gift, AsksReservation):
    type: ClassVar[str] = "gift.announced"
    direction = "in"


class Sent(_Gift, ConfirmsReservation):
    type: ClassVar[str] = "gift.sent"


class Returned(_Gift, GivesUpReservation):
    type: ClassVar[str] = "gift.returned"
    why: ClassVar[str] = "gift_returned"


class Given(_Gift, ChangesBalance):
    type: ClassVar[str] = "gift.given"

    @property
    def change(self) -> Credit:
        return Credit(amount=5)


def opened(*lines: str) -> Entities:
    """The account with 50 coins, after these lines of the table language."""
    state = nobody()
    for line in ("0 open", "0 credit c 50", *lines):
        play(state, parse(line))
    return state


def tell(state: Entities, fact: Fact, at: int = 1, trace: str | None = None) -> list[Fact]:
    return [each.fact for each in decide(state, message(fact, trace), START + timedelta(seconds=at), LIMITS)]


def of(asked_by: str, operation_id: UUID = A) -> dict[str, Any]:
    return {"account_id": ACCOUNT, "operation_id": operation_id, "asked_by": asked_by}


def test_a_stranger_reserves_captures_releases_and_credits_by_roles_alone() -> None:
    state = opened()
    offer = Offered(gift_id=A, account_id=ACCOUNT, amount=20, hold_s=60.0)
    until = START + timedelta(seconds=61)
    assert tell(state, offer) == [CoinsReserved(**of("gift"), amount=20, deadline=until)]
    assert tell(state, Sent(gift_id=A, account_id=ACCOUNT)) == [CoinsCaptured(**of("gift"), amount=20)]
    coming = Announced(gift_id=B, account_id=ACCOUNT, amount=7, hold_s=60.0)
    assert tell(state, coming) == [CoinsReserved(**of("gift", B), amount=7, deadline=until)]
    assert state.at[ACCOUNT].bounds == (30, 37)
    assert tell(state, Returned(gift_id=B, account_id=ACCOUNT)) == [CoinsReleased(**of("gift", B), amount=7)]
    (credited,) = tell(state, Given(gift_id=GIFT, account_id=ACCOUNT))
    assert (credited.type, state.at[ACCOUNT].state) == ("coins.credited", 35)


def test_nobody_captures_what_another_reserved() -> None:
    state = opened("1 reserve a 20 for 60")
    with pytest.raises(Refused, match="never reserved"):
        tell(state, Sent(gift_id=A, account_id=ACCOUNT))
    assert tell(state, OrderConfirmed(order_id=A, account_id=ACCOUNT)) == [CoinsCaptured(**of("order"), amount=20)]


def test_nobody_gives_up_what_another_asked_for() -> None:
    state = opened("1 reserve a 20 for 60", "1 multiply b 2 for 30")
    assert tell(state, PromoRefused(redemption_id=A, account_id=ACCOUNT, reason="used_up")) == []
    assert tell(state, OrderFailed(order_id=B, account_id=ACCOUNT, reason="x")) == []
    assert tell(state, Returned(gift_id=A, account_id=ACCOUNT)) == []
    assert state.at[ACCOUNT].bounds == (30, 100)


def test_an_id_that_another_used_is_refused_to_a_service_and_parked_for_a_command() -> None:
    state = opened("1 reserve a 20 for 60")
    same = Offered(gift_id=A, account_id=ACCOUNT, amount=20, hold_s=60.0)
    assert tell(state, same) == [CoinsRefused(**of("gift"), kind="reserve", reason="id_used")]
    with pytest.raises(Refused, match="of account ada was used for reserve 20, now for credit 5"):
        tell(state, CreditAccount(credit_id=A, account_id=ACCOUNT, amount=5))
    assert state.at[ACCOUNT].bounds == (30, 50)


def test_refusals_of_two_kinds_under_one_id_are_two_messages() -> None:
    refusals = [CoinsRefused(**of("x"), kind=kind, reason="x") for kind in ("reserve", "multiply")]
    assert len({refusal.announcement_id for refusal in refusals}) == 2


def test_a_contradiction_changes_nothing_though_a_deadline_has_passed() -> None:
    """What its deadline did would be lost with the message that is parked."""
    state = opened("1 reserve a 20 for 9")
    for fact in (
        OrderConfirmed(order_id=B, account_id=ACCOUNT),
        CreditAccount(credit_id=A, account_id=ACCOUNT, amount=5),
    ):
        with pytest.raises(Refused):
            tell(state, fact, at=99)
    assert tell(state, OrderConfirmed(order_id=A, account_id=ACCOUNT), at=99) == [
        CoinsExpired(**of("order"), amount=20)
    ]


def test_each_answer_has_the_trace_of_its_own_saga() -> None:
    state = opened("1 reserve a 20 for 60")
    doubling = parse("1 multiply m 2 for 30")
    assert [each.trace for each in play(state, doubling)] == [None]
    buyer = OrderPlaced(order_id=B, account_id=ACCOUNT, amount=40, hold_s=9.0)
    told = decide(state, message(buyer, "trace of b"), START + timedelta(seconds=2), LIMITS)
    assert [(each.fact.type, each.trace) for each in told] == [("operation.waiting", "trace of b")]
    over = OrderFailed(order_id=A, account_id=ACCOUNT, reason="x")
    told = decide(state, message(over, "another"), START + timedelta(seconds=3), LIMITS)
    assert [(each.fact.type, each.trace) for each in told] == [
        ("coins.released", None),
        ("coins.multiplied", None),
        ("coins.reserved", "trace of b"),
    ]


def test_a_repeat_is_answered_with_the_trace_of_the_first_and_a_refused_id_with_its_own() -> None:
    state = opened()
    offer = Offered(gift_id=A, account_id=ACCOUNT, amount=20, hold_s=60.0)
    tell(state, offer, trace="first")
    tell(state, Returned(gift_id=B, account_id=ACCOUNT), trace="returned")
    other = offer.model_copy(update={"amount": 21})
    overtaken = Offered(gift_id=B, account_id=ACCOUNT, amount=20, hold_s=60.0)
    confirmed = Sent(gift_id=A, account_id=ACCOUNT)
    told = [
        (each.fact.type, each.trace)
        for fact in (offer, other, overtaken, confirmed, confirmed)
        for each in decide(state, message(fact, "second"), START + timedelta(seconds=2), LIMITS)
    ]
    assert told == [
        ("coins.reserved", "first"),
        ("coins.refused", "second"),
        ("coins.refused", "second"),
        ("coins.captured", "first"),
        ("coins.captured", "first"),
    ]


def test_a_message_that_has_no_role_here_is_parked() -> None:
    with pytest.raises(Refused, match=r"'catalog\.put' is not handled"):
        tell(opened(), PutItem(item="sword", price=1, stock=1))


def test_the_handlers_decide_within_their_limits() -> None:
    credit = message(CreditAccount(credit_id=A, account_id=ACCOUNT, amount=5))
    (told,) = AccountHandlers(Limits(pending=0)).handle(opened(), credit, START)
    assert told.fact == CoinsRefused(**of("commands"), kind="credit", reason="pending_limit")


CAUSES = {
    "captured": (("1 reserve a 20 for 9", "2 capture a"), "captured", None, "order.confirmed"),
    "released": (("1 reserve a 20 for 9", "2 release a"), "released", "order_failed", "order.failed"),
    "expired": (("1 reserve a 20 for 9", "10 sweep"), "expired", "deadline_passed", "deadline"),
    "refused": (("1 reserve a 51 for 9",), "refused", "insufficient_coins", "order.placed"),
    "credited": (("1 bonus a 3 for 9",), "credited", None, "promo.claimed"),
    "withdrawn": (
        ("1 reserve b 20 for 60", "1 multiply a 2 for 9", "2 refuse a", "3 release b"),
        "refused",
        "promo_refused",
        "promo.refused",
    ),
    "waited too long": (
        ("1 reserve b 20 for 60", "1 multiply a 2 for 9", "10 sweep", "11 release b"),
        "refused",
        "wait_deadline_passed",
        "deadline",
    ),
    "named what never came": (("1 multiply a 2 for 9 after x", "10 sweep"), "refused", "named_missing", "deadline"),
}


@pytest.mark.parametrize(("lines", "word", "reason", "cause"), CAUSES.values(), ids=CAUSES.keys())
def test_it_is_kept_how_an_operation_ended_and_which_message_ended_it(
    lines: tuple[str, ...], word: str, reason: str | None, cause: str
) -> None:
    operation = opened(*lines).at[ACCOUNT].find(A)
    assert operation is not None
    assert (state_of(operation), operation.reason, cause_of(operation)) == (word, reason, cause)


def test_a_credit_that_names_earlier_ones_stands_outside_as_long_as_the_service_says() -> None:
    play_table("0 open -> opened\n1 credit c 5 after x -> c waits at 0 for x until 31", Limits(join_s=30.0))


def test_that_one_outside_waits_for_fewer_is_not_announced() -> None:
    play_table(
        """
        0 open                      -> opened
        1 credit c 5 after x,y       -> c waits at 0 for x,y until 61
        2 credit x 1                -> x credited 1
        3 credit y 1                -> y credited 1; c credited 5
        """
    )


def test_what_waits_is_told_in_time_linear_to_what_is_ahead_and_no_longer_than_it_may_be() -> None:
    state = opened(*(f"1 reserve r{number} 1 for 60" for number in range(30)))
    (told,) = play(state, parse("2 multiply m 2 for 30"))
    assert len(getattr(told.fact, "waits_for")) == 20  # noqa: B009
    assert getattr(told.fact, "position") == 30  # noqa: B009


async def test_a_message_that_fails_in_mid_decision_leaves_nothing_to_save() -> None:
    """The entity may be half changed, so the batch is not saved, and its messages are tried again in smaller ones."""
    state, handlers = opened("1 reserve a 20 for 60"), AccountHandlers(LIMITS)
    with patch("user_service.handlers.answer", side_effect=ZeroDivisionError), pytest.raises(ZeroDivisionError):
        handlers.handle(state, message(OrderConfirmed(order_id=A, account_id=ACCOUNT)), START)
    with pytest.raises(ZeroDivisionError):
        await handlers.save(None, state)  # type: ignore[arg-type]


def test_an_unknown_account_refuses_and_remembers_that() -> None:
    state = Entities({ACCOUNT: Entity(0)}, set())
    credit = CreditAccount(credit_id=A, account_id=ACCOUNT, amount=5)
    refused = CoinsRefused(**of("commands"), kind="credit", reason="unknown_account")
    assert tell(state, credit) == [refused]
    play(state, parse("2 open"))
    assert tell(state, credit) == [refused]


def test_refusals_of_one_id_to_two_askers_are_two_messages() -> None:
    """The inbox of a service that saw the one, which was not for it, must not take the other for a repeat."""
    refusals = [CoinsRefused(**of(asked_by), kind="reserve", reason="x") for asked_by in ("gift", "order")]
    assert len({refusal.announcement_id for refusal in refusals}) == 2


def test_what_is_given_up_before_it_arrives_is_refused_to_its_own_asker_for_that_reason() -> None:
    state = opened()
    assert tell(state, Returned(gift_id=A, account_id=ACCOUNT)) == []
    order = OrderPlaced(order_id=A, account_id=ACCOUNT, amount=5, hold_s=9.0)
    assert tell(state, order) == [CoinsRefused(**of("order"), kind="reserve", reason="id_used")]
    gift = Offered(gift_id=A, account_id=ACCOUNT, amount=5, hold_s=9.0)
    assert tell(state, gift) == [CoinsRefused(**of("gift"), kind="reserve", reason="gift_returned")]
