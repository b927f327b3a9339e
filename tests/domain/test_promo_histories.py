"""Any history of redemptions ends with every use accounted for: none is lost, and none is used twice."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest

from promo_service.uses import WaitOverdue
from tests.domain.promo_shop import Service


@pytest.mark.parametrize("order", [*permutations((1, 2, 3))])
def test_every_order_of_answers_uses_what_there_is_and_no_more(order: tuple[int, ...]) -> None:
    for ends in ("eee", "eer", "err", "rrr", "rer", "ree", "rre"):
        service = Service()
        service.put(uses_max=2)
        accounts = {1: "a", 2: "b", 3: "c", 4: "a", 5: "b", 6: "d"}
        for number, account in accounts.items():
            service.redeem(number, account)
        for number in (*order, *accounts) * 3:
            if service.redemption(number).state == "claimed":
                service.effect(number) if ends[number % 3] == "e" else service.refuse(number)
        _all_is_whole(service, accounts, 2)


@pytest.mark.parametrize("seed", range(60))
def test_any_history_ends_with_every_use_accounted_for(seed: int) -> None:
    random, service = Random(seed), Service()
    uses_max, accounts = random.randint(1, 3), {}
    service.put(uses_max=uses_max)
    for number in range(1, 25):
        accounts[number] = random.choice("abcd")
        service.redeem(number, accounts[number], wait_s=random.choice((None, 3.0, 9.0)))
        service.now_s += random.choice((0.0, 1.0))
        for claimed in [each.id.int for each in service.state.redemptions.values() if each.state == "claimed"]:
            if random.random() < 0.4:
                service.effect(claimed) if random.random() < 0.4 else service.refuse(claimed)
    service.now_s += 61.0
    for key in list(service.uses.at):
        service.take(WaitOverdue(key=key))
    for claimed in [each.id.int for each in service.state.redemptions.values() if each.state == "claimed"]:
        service.effect(claimed)
    _all_is_whole(service, accounts, uses_max)


def _all_is_whole(service: Service, accounts: dict[int, str], uses_max: int) -> None:
    """Every redemption has ended, the uses are those that took effect, and none was left while somebody was refused."""
    states = [service.redemption(number).state for number in accounts]
    assert set(states) <= {"redeemed", "refused"}
    redeemed = [accounts[number] for number in accounts if service.redemption(number).state == "redeemed"]
    assert len(set(redeemed)) == len(redeemed) == service.entity().state <= uses_max
    assert all(service.entity(account).state == redeemed.count(account) for account in set(accounts.values()))
    assert not [each for each in service.uses.at.values() if len(each)]
    reasons = {number: service.redemption(number).reason for number in accounts}
    assert "used_up" not in reasons.values() or len(redeemed) == uses_max
    assert {accounts[number] for number, reason in reasons.items() if reason == "already_redeemed"} <= set(redeemed)
