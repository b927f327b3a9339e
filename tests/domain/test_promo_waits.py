"""Redemptions that wait for a use of their code: what the handler makes of whole histories, in memory."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from contracts.commands import RedeemPromo
from contracts.events import CoinsMultiplied, PromoClaimed, PromoWaiting
from contracts.roles import Bonus
from holdfast.delivery.domain import Refused
from holdfast.delivery.message import Message
from promo_service.promo import JOIN_S_MAX
from promo_service.uses import WaitOverdue
from tests.domain.promo_shop import BEGIN, EFFECT, Service


@pytest.fixture
def service() -> Service:
    service = Service()
    service.put()
    return service


def test_a_use_that_is_free_is_claimed_at_once(service: Service) -> None:
    assert service.redeem(1) == ["claimed 1"]
    assert [each.status for each in service.entity("a")] == ["reserved"]
    assert [each.status for each in service.entity()] == ["reserved"]
    assert service.effect(1) == ["redeemed 1"]
    assert (service.entity("a").state, service.entity().state) == (1, 1)


def test_a_second_redemption_of_the_account_waits_and_is_refused_when_the_first_takes_effect(service: Service) -> None:
    service.redeem(1)
    assert service.redeem(2) == ["waiting 2"]
    waiting = service.heard[-1]
    deadline = BEGIN + timedelta(seconds=60)
    assert waiting == PromoWaiting(
        redemption_id=UUID(int=2), account_id="a", position=1, waits_for=(UUID(int=1),), deadline=deadline
    )
    assert service.effect(1) == ["redeemed 1", "refused 2"]
    assert service.redemption(2).reason == "already_redeemed"
    assert (service.entity("a").state, service.entity().state, len(service.entity())) == (1, 1, 0)
    assert service.redeem(3) == ["refused 3"]
    assert service.redemption(3).reason == "already_redeemed"
    assert service.state.misses == {}


def test_a_second_redemption_of_the_account_gets_its_use_when_the_first_is_refused(service: Service) -> None:
    service.redeem(1)
    service.redeem(2)
    assert service.refuse(1) == ["refused 1", "claimed 2"]
    assert service.effect(2) == ["redeemed 2"]
    assert (service.entity("a").state, service.entity().state) == (1, 1)


def test_the_last_use_of_a_code_is_refused_to_a_second_account_when_the_first_takes_effect(service: Service) -> None:
    service.put(uses_max=1)
    assert service.redeem(1, "a") == ["claimed 1"]
    assert service.redeem(2, "b") == ["waiting 2"]
    assert service.effect(1) == ["redeemed 1", "refused 2"]
    assert service.redemption(2).reason == "used_up"
    assert service.heard[-1].reason == "code_not_accepted"  # type: ignore[attr-defined]
    assert service.state.misses == {"b": 1}
    assert (service.entity("b").state, len(service.entity("b"))) == (0, 0)
    assert service.redeem(3, "c") == ["refused 3"]
    assert (service.redemption(3).reason, len(service.entity("c"))) == ("used_up", 0)


def test_the_last_use_of_a_code_goes_to_the_second_account_when_the_first_is_refused(service: Service) -> None:
    service.put(uses_max=1)
    service.redeem(1, "a")
    service.redeem(2, "b")
    assert service.refuse(1) == ["refused 1", "claimed 2"]
    assert service.effect(2) == ["redeemed 2"]
    assert (service.entity("a").state, service.entity("b").state, service.entity().state) == (0, 1, 1)


def test_an_answer_reaches_all_that_it_answers_however_far(service: Service) -> None:
    """1 holds the code's use, 2 waits for it and holds its account's, for which 3 waits. Each end answers the next."""
    service.put(uses_max=1)
    service.redeem(1, "a")
    assert service.redeem(2, "b") == ["waiting 2"]
    assert service.redeem(3, "b") == ["waiting 3"]
    assert service.redeem(4, "c") == ["waiting 4"]
    assert service.effect(1) == ["redeemed 1", "refused 2", "refused 4", "refused 3"]
    assert [service.redemption(number).reason for number in (2, 3, 4)] == ["used_up"] * 3
    assert not [each for each in service.uses.at.values() if len(each)]


def test_who_has_waited_for_the_accounts_use_may_wait_for_the_codes_and_says_so_once(service: Service) -> None:
    service.put(uses_max=1)
    service.redeem(1, "a")
    service.redeem(2, "b")
    service.redeem(3, "b")
    service.redeem(4, "c")
    service.now_s = 1.0
    assert service.refuse(1) == ["refused 1", "claimed 2"]
    assert service.refuse(2) == ["refused 2", "claimed 4"]
    assert (service.redemption(3).state, service.redemption(3).awaits) == ("waiting", "code")
    assert service.refuse(4) == ["refused 4", "claimed 3"]


def test_all_that_may_wait_are_answered_in_one_message(service: Service) -> None:
    service.redeem(1)
    for number in range(2, 202):
        assert service.redeem(number) == [f"waiting {number}"]
    assert service.redeem(202) == ["refused 202"]
    assert service.effect(1) == ["redeemed 1", *(f"refused {number}" for number in range(2, 202))]


@pytest.mark.parametrize("account", ["a", "b"])
def test_a_wait_ends_at_its_deadline(service: Service, account: str) -> None:
    service.put(uses_max=1)
    service.redeem(1, "a")
    assert service.redeem(2, account, wait_s=5.0) == ["waiting 2"]
    key = next(key for key, each in service.uses.at.items() if len(each) == 2)
    service.now_s = 4.999999
    assert service.take(WaitOverdue(key=key)) == []
    service.now_s = 5.0
    assert service.take(WaitOverdue(key=key)) == ["refused 2"]
    assert service.redemption(2).reason == "wait_deadline_passed"
    assert service.take(WaitOverdue(key=key)) == []
    assert service.refuse(1) == ["refused 1"]
    assert service.redeem(3, account) == ["claimed 3"]


@pytest.mark.parametrize("account", ["a", "b"])
def test_a_use_that_comes_back_after_the_deadline_comes_too_late(service: Service, account: str) -> None:
    service.put(uses_max=1)
    service.redeem(1, "a")
    service.redeem(2, account, wait_s=5.0)
    service.now_s = 5.0
    assert service.refuse(1) == ["refused 1", "refused 2"]
    assert service.redemption(2).reason == "wait_deadline_passed"
    assert service.redeem(3, account) == ["claimed 3"]


def test_what_was_waited_for_a_use_is_not_waited_for_again(service: Service) -> None:
    service.redeem(1)
    service.redeem(2, wait_s=50.0)
    service.redeem(3)
    service.now_s = 20.0
    service.refuse(1)
    claimed = service.heard[-1]
    assert isinstance(claimed, PromoClaimed)
    assert (claimed.wait_s, claimed.join_s) == (30.0, 30.0)
    service.refuse(2)
    claimed = service.heard[-1]
    assert isinstance(claimed, PromoClaimed)
    assert (claimed.wait_s, claimed.join_s) == (None, 40.0)


def test_a_use_is_not_kept_for_longer_than_a_while_for_what_may_never_come(service: Service) -> None:
    service.redeem(1, wait_s=2000.0)
    claimed = service.heard[-1]
    assert isinstance(claimed, PromoClaimed)
    assert (claimed.wait_s, claimed.join_s) == (2000.0, JOIN_S_MAX)


def test_nobody_waits_for_a_use_of_a_scarce_code(service: Service) -> None:
    service.put(uses_max=1, scarce="refuse")
    assert service.redeem(1, "a") == ["claimed 1"]
    assert service.redeem(2, "a") == ["refused 2"]
    assert service.redeem(3, "b") == ["refused 3"]
    assert (service.redemption(2).reason, service.redemption(3).reason) == ("already_redeemed", "used_up")
    assert (len(service.entity("a")), len(service.entity("b"))) == (2, 0)
    assert service.refuse(1) == ["refused 1"]
    assert service.redeem(4, "b") == ["claimed 4"]


@pytest.mark.parametrize("account", ["a", "b"])
def test_only_so_many_claims_wait(account: str) -> None:
    service = Service(waiting_max=1)
    service.put(uses_max=1)
    service.redeem(1, "a")
    assert service.redeem(2, account) == ["waiting 2"]
    assert service.redeem(3, account if account == "a" else "c") == ["refused 3"]
    assert service.redemption(3).reason == "pending_limit"
    assert service.refuse(1) == ["refused 1", "claimed 2"]
    assert service.redeem(4, "d") == ["waiting 4"]


def test_putting_a_code_changes_nothing_for_those_that_have_come(service: Service) -> None:
    service.put(uses_max=1)
    service.redeem(1, "a")
    service.redeem(2, "b")
    service.put(uses_max=2, effect=Bonus(amount=5), scarce="refuse")
    assert service.redeem(3, "c") == ["claimed 3"]
    assert service.redeem(4, "d") == ["refused 4"]
    assert service.refuse(1) == ["refused 1", "claimed 2"]
    claimed = service.heard[-1]
    assert isinstance(claimed, PromoClaimed)
    assert claimed.effect == EFFECT
    service.put(uses_max=1)
    assert service.effect(2) == ["redeemed 2"]
    assert service.effect(3) == ["redeemed 3"]
    assert service.entity().state == 2
    assert service.redeem(5, "e") == ["refused 5"]


@pytest.mark.parametrize("end", ["effect", "refuse"])
def test_a_message_that_comes_again_has_no_further_effect(service: Service, end: str) -> None:
    service.put(uses_max=1)
    service.redeem(1, "a")
    assert service.redeem(1, "a") == []
    service.redeem(2, "b")
    assert service.redeem(2, "b") == []
    ending = getattr(service, end)
    ending(1)
    kept = {key: (each.state, list(each)) for key, each in service.uses.at.items()}
    assert ending(1) == []
    assert service.redeem(1, "a") == [{"effect": "redeemed 1", "refuse": "refused 1"}[end]]
    assert service.redeem(2, "b") == ["refused 2"] * (end == "effect")
    assert {key: (each.state, list(each)) for key, each in service.uses.at.items()} == kept


def test_what_contradicts_is_parked_and_changes_nothing(service: Service) -> None:
    service.redeem(1)
    service.redeem(2)
    with pytest.raises(Refused, match="which is waiting"):
        service.effect(2)
    for number, account, code in ((1, "b", "X"), (2, "a", "Y")):
        with pytest.raises(Refused, match="use a new id"):
            service.redeem(number, account, code)
    assert service.uses.error is None
    assert service.effect(1) == ["redeemed 1", "refused 2"]


def test_an_announcement_about_another_redemption_has_the_others_trace(service: Service) -> None:
    def redeem(number: int, trace: str) -> Message:
        fact = RedeemPromo(redemption_id=UUID(int=number), account_id="a", code="X")
        return Message(uuid4(), uuid4(), fact, trace)

    for number in (1, 2):
        service.handlers.handle(service.state, redeem(number, f"trace {number}"), BEGIN)
    later = Message(uuid4(), uuid4(), CoinsMultiplied(**service.of(1), factor=2, added=9), "trace 9")
    told = service.handlers.handle(service.state, later, BEGIN)
    assert [(each.fact.type, each.trace, each.began_at) for each in told] == [
        ("promo.redeemed", "trace 1", BEGIN),
        ("promo.refused", "trace 2", BEGIN),
    ]
