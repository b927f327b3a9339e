"""Nothing is answered before it joins its account, and naming what never comes holds up nobody else."""

from __future__ import annotations

from uuid import uuid4

import pytest

from local.service import Service
from tests.choreography.conftest import World


@pytest.mark.parametrize(("accepted", "coins"), [(False, 100), (True, 60)])
async def test_a_doubling_waits_for_a_purchase_whose_service_stands_still(
    world: World, services: dict[str, Service], accepted: bool, coins: int
) -> None:
    account, item, code = await world.account(50), await world.goods(20), await world.code()
    services["order_service"].stop()
    order = await world.client.place_order(account, item)
    redemption = await world.client.redeem_promo(account, code)
    outside = await world.standing(account, redemption.id, "outside")
    assert outside.waits_for == (order.id,)
    view = await world.show(account)
    assert (view.balance, view.available, view.possible) == (50, 50, 50)
    services["order_service"].start()
    assert (await world.standing(account, redemption.id, "accepted")).waits_for == (order.id,)
    if accepted:
        await world.operator.accept_fulfilment(order.id)
    else:
        await world.operator.reject_fulfilment(order.id)
    assert (await world.client.wait_for_redemption(redemption.id)).state == "redeemed"
    assert await world.coins(account) == coins


async def test_a_credit_behind_a_command_that_has_not_come_is_not_answered_before_it(world: World) -> None:
    """Who was told "credited" and then buys must find the coins, so that nothing outside is answered."""
    account, item = await world.account(50), await world.goods(20)
    order_id = uuid4()
    credit = await world.client.credit(account, 10, after=[order_id])
    await world.standing(account, credit.id, "outside")
    assert (await world.show(account)).available == 50
    await world.client.place_order(account, item, order_id=order_id, after=[])
    assert (await world.client.wait_for_operation(account, credit.id)).state == "credited"
    await world.operator.reject_fulfilment(order_id)
    assert await world.coins(account) == 60


async def test_two_commands_that_name_each_other_both_end(world: World) -> None:
    account, item, code = await world.account(50), await world.goods(20), await world.code()
    order_id, redemption_id = uuid4(), uuid4()
    await world.client.place_order(account, item, deadline_s=2.0, order_id=order_id, after=[redemption_id])
    await world.client.redeem_promo(account, code, redemption_id=redemption_id, after=[order_id])
    ended = await world.client.wait_for_order(order_id)
    assert ended.reason in ("named_missing", "deadline_passed")
    assert (await world.client.wait_for_redemption(redemption_id)).added == 50
    assert await world.coins(account) == 100


async def test_who_names_what_never_comes_holds_up_nobody_else(world: World) -> None:
    account, item, code = await world.account(50), await world.goods(20), await world.code()
    never = uuid4()
    stuck = await world.client.redeem_promo(account, await world.code(uses_max=1), wait_s=2.0, after=[never])
    assert (await world.standing(account, stuck.id, "outside")).waits_for == (never,)
    order = await world.client.place_order(account, item, after=[])
    redemption = await world.client.redeem_promo(account, code, after=[order.id])
    await world.standing(account, redemption.id, "accepted")
    await world.operator.accept_fulfilment(order.id)
    assert (await world.client.wait_for_redemption(redemption.id)).added == 30
    ended = await world.client.wait_for_redemption(stuck.id)
    assert (ended.state, ended.reason) == ("refused", "named_missing")
    assert await world.coins(account) == 60


async def test_what_comes_behind_a_command_that_was_refused_need_not_wait_for_it(world: World) -> None:
    """A refused redemption never joins the account, and is past for it all the same."""
    account, item = await world.account(50), await world.goods(20, stock=1)
    refused = await world.client.redeem_promo(account, "no-such-code")
    order = await world.client.place_order(account, item, after=[refused.id])
    assert (await world.client.wait_for_order(order.id)).state == "completed"
    assert await world.coins(account) == 30
