"""What the promo service makes of messages beyond the rule: what it keeps and counts, and what it announces how."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.commands import PutItem, PutPromo, RedeemPromo
from contracts.events import CoinsMultiplied, PromoWaiting
from holdfast.delivery.message import Announcement, Message
from holdfast.entities.tables import cause_of, state_of
from holdfast.entities.words import WAITS_FOR_MAX
from promo_service.codes import code_hash
from promo_service.promo import AnswerOverdue
from promo_service.redemption import Promo
from tests.domain.promo_shop import BEGIN, EFFECT, KEY, Service

NAMED = code_hash(KEY, "X")


def service_with(**said: Any) -> Service:
    service = Service()
    service.put(**said)
    return service


def test_a_code_is_kept_as_it_was_put_once_for_each_message() -> None:
    service = Service()
    until = BEGIN + timedelta(days=1)
    put = PutPromo(code="X", effect=EFFECT, valid_from=BEGIN, valid_until=until, uses_max=3, scarce="refuse")
    message = Message(uuid4(), uuid4(), put)
    service.handlers.handle(service.state, message, BEGIN)
    kept = {NAMED: Promo(NAMED, EFFECT, BEGIN, until, 3, "refuse")}
    assert (service.state.codes, service.state.puts) == (kept, {message.key})
    service.put(uses_max=1)
    service.handlers.handle(service.state, message, BEGIN)
    assert service.state.codes == {NAMED: Promo(NAMED, EFFECT, None, None, 1)}


ENDS: dict[str, tuple[Callable[[Service], object], str, str | None, str]] = {
    "captured": (lambda service: service.effect(1), "captured", None, "coins.multiplied"),
    "released": (lambda service: service.refuse(1), "released", "unknown_account", "coins.refused"),
}


@pytest.mark.parametrize(("end", "word", "reason", "cause"), ENDS.values(), ids=ENDS.keys())
def test_it_is_kept_how_a_claim_ended_and_which_message_ended_it(
    end: Callable[[Service], object], word: str, reason: str | None, cause: str
) -> None:
    service = service_with()
    service.redeem(1)
    end(service)
    for entity in (service.entity("a"), service.entity()):
        claim = entity.find(UUID(int=1))
        assert claim is not None
        assert (state_of(claim), claim.reason, cause_of(claim)) == (word, reason, cause)


def test_a_claim_keeps_who_asked_by_which_message_and_with_which_trace() -> None:
    service = service_with(uses_max=1, scarce="refuse")
    redeem = RedeemPromo(redemption_id=UUID(int=1), account_id="a", code="X")
    service.handlers.handle(service.state, Message(uuid4(), uuid4(), redeem, "trace"), BEGIN)
    service.redeem(2, "a")
    assert [(each.note.asked_by, each.note.cause, each.note.trace) for each in service.entity("a")] == [
        ("commands", "promo.redeem", "trace"),
        ("commands", "promo.redeem", None),
    ]
    assert service.uses.opened == {NAMED, f"{NAMED}/a"}
    withdrawn = service.entity("a").find(UUID(int=2))
    assert withdrawn is not None
    assert (state_of(withdrawn), withdrawn.reason) == ("refused", "used_up")


def test_a_claim_beyond_the_limit_is_kept_as_refused() -> None:
    service = Service(waiting_max=0)
    service.put()
    assert service.redeem(1, "a") == ["claimed 1"]
    assert service.redeem(2, "a") == ["refused 2"]
    claim = service.entity("a").find(UUID(int=2))
    assert claim is not None
    assert claim.reason == "pending_limit"


def test_one_whose_wait_is_over_leaves_its_room_to_the_next() -> None:
    service = Service(waiting_max=1)
    service.put()
    service.redeem(1, wait_s=60.0)
    assert service.redeem(2, wait_s=5.0) == ["waiting 2"]
    service.now_s = 5.0
    assert service.redeem(3) == ["refused 2", "waiting 3"]


def test_who_is_surely_refused_claims_nothing() -> None:
    service = service_with(uses_max=1)
    service.redeem(1, "a")
    service.effect(1)
    service.redeem(2, "a")
    service.redeem(3, "b")
    assert [service.redemption(number).reason for number in (2, 3)] == ["already_redeemed", "used_up"]
    assert (service.entity("a").places, service.entity("b").places, service.entity().places) == (1, 0, 1)


def test_each_code_that_is_not_accepted_is_one_miss_of_its_account() -> None:
    service = Service(misses_max=2)
    service.put()
    for _ in range(2):
        service.redeem(1, "a", "NONE")
    assert service.state.misses == {"a": 1}
    service.redeem(2, "a", "NONE")
    assert service.state.misses == {"a": 2}
    service.redeem(3, "a")
    assert service.redemption(3).reason == "too_many_misses"
    assert service.redeem(4, "b") == ["claimed 4"]
    assert service.state.misses == {"a": 2}


def test_an_account_without_a_miss_may_try_a_code_where_one_miss_is_too_many() -> None:
    service = Service(misses_max=1)
    service.put()
    assert service.redeem(1) == ["claimed 1"]


def test_no_more_are_told_to_be_waited_for_than_may_be() -> None:
    service = service_with(uses_max=WAITS_FOR_MAX + 1)
    for number in range(1, WAITS_FOR_MAX + 3):
        service.redeem(number, f"account-{number}")
    waiting = service.heard[-1]
    assert isinstance(waiting, PromoWaiting)
    assert waiting.waits_for == tuple(UUID(int=number) for number in range(1, WAITS_FOR_MAX + 1))


@pytest.mark.parametrize(("passed_s", "misses"), [(3599.0, {"b": 1}), (3600.0, {})])
def test_a_miss_counts_for_an_hour_from_when_its_redemption_came(passed_s: float, misses: dict[str, int]) -> None:
    service = service_with(uses_max=1)
    service.redeem(1, "a")
    service.redeem(2, "b", wait_s=7200.0)
    service.now_s = passed_s
    assert service.effect(1) == ["redeemed 1", "refused 2"]
    assert service.state.misses == misses


def test_what_is_not_known_or_not_its_own_leaves_nothing() -> None:
    service = Service()
    assert service.take(AnswerOverdue(redemption_id=UUID(int=1))) == []
    assert service.take(PutItem(item="sword", price=1, stock=1)) == []
    assert service.state.redemptions == {}


def test_a_question_is_asked_again_with_its_number_and_only_an_end_says_when_it_began() -> None:
    service = Service(ask_again_s=7.0)
    service.put()

    def told(fact: Any, at_s: float) -> list[Announcement]:
        message = Message(uuid4(), uuid4(), fact, "trace")
        return [*service.handlers.handle(service.state, message, BEGIN + timedelta(seconds=at_s))]

    (first,) = told(RedeemPromo(redemption_id=UUID(int=1), account_id="a", code="X"), 0.0)
    assert (first.trace, first.began_at, first.again) == ("trace", None, 0)
    overdue = AnswerOverdue(redemption_id=UUID(int=1))
    assert told(overdue, 6.9) == []
    assert [(each.began_at, each.again) for each in told(overdue, 7.0)] == [(None, 1)]
    assert [(each.began_at, each.again) for each in told(overdue, 21.0)] == [(None, 2)]
    (end,) = told(CoinsMultiplied(**service.of(1), factor=2, added=9), 30.0)
    assert (end.trace, end.began_at, end.again) == ("trace", BEGIN, 0)
