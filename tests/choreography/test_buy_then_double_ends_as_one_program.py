"""50 coins, a purchase for 20 and a doubling right behind it: 100 or 60, never 80."""

from __future__ import annotations

from uuid import uuid4

import pytest

from contracts.roles import Bonus
from tests.choreography.conftest import World


@pytest.mark.parametrize(("accepted", "coins"), [(False, 100), (True, 60)])
async def test_the_doubling_counts_as_sent_after_the_purchase(world: World, accepted: bool, coins: int) -> None:
    account, item, code = await world.account(50), await world.goods(20), await world.code()
    order = await world.client.place_order(account, item)
    redemption = await world.client.redeem_promo(account, code)
    await world.client.outcome(order)
    if accepted:
        await world.operator.accept_fulfilment(order.id)
    else:
        await world.operator.reject_fulfilment(order.id, "broken")
    ended = await world.client.wait_for_order(order.id)
    redeemed = await world.client.wait_for_redemption(redemption.id)
    assert ended.state == ("completed" if accepted else "failed")
    assert (redeemed.state, redeemed.added) == ("redeemed", coins // 2)
    assert await world.coins(account) == coins


@pytest.mark.parametrize(("accepted", "coins"), [(False, 100), (True, 60)])
async def test_a_doubling_that_overtakes_its_purchase_joins_behind_it(world: World, accepted: bool, coins: int) -> None:
    """The doubling arrives before the order exists, which it names in `after`."""
    account, item, code = await world.account(50), await world.goods(20), await world.code()
    order_id = uuid4()
    redemption = await world.client.redeem_promo(account, code, after=(order_id,))
    assert (await world.standing(account, redemption.id, "outside")).waits_for == (order_id,)
    order = await world.client.place_order(account, item, order_id=order_id, after=())
    await world.client.outcome(order)
    if accepted:
        await world.operator.accept_fulfilment(order_id)
    else:
        await world.operator.reject_fulfilment(order_id)
    await world.client.wait_for_order(order_id)
    assert (await world.client.wait_for_redemption(redemption.id)).state == "redeemed"
    assert await world.coins(account) == coins


async def test_a_purchase_from_stock_goes_through(world: World) -> None:
    account, item, code = await world.account(50), await world.goods(20, stock=3), await world.code()
    order = await world.client.place_order(account, item)
    redemption = await world.client.redeem_promo(account, code)
    assert (await world.client.wait_for_order(order.id)).state == "completed"
    assert (await world.client.wait_for_redemption(redemption.id)).added == 30
    assert await world.coins(account) == 60
    stock = {each.item: each.stock for each in await world.client.ask.catalog()}
    assert stock[item] == 2


async def test_a_purchase_out_of_stock_costs_nothing(world: World) -> None:
    account, item, code = await world.account(50), await world.goods(20, stock=1), await world.code()
    order = await world.client.place_order(account, item, quantity=2)
    redemption = await world.client.redeem_promo(account, code)
    ended = await world.client.wait_for_order(order.id)
    assert (ended.state, ended.reason) == ("failed", "out_of_stock")
    assert (await world.client.wait_for_redemption(redemption.id)).added == 50
    assert await world.coins(account) == 100


async def test_a_cancelled_purchase_counts_as_never_made(world: World) -> None:
    account, item, code = await world.account(50), await world.goods(20), await world.code()
    order = await world.client.place_order(account, item)
    redemption = await world.client.redeem_promo(account, code)
    await world.client.cancel_order(account, order.id)
    assert (await world.client.wait_for_order(order.id)).state == "cancelled"
    assert (await world.client.wait_for_redemption(redemption.id)).added == 50
    assert await world.coins(account) == 100


async def test_a_bonus_does_not_wait(world: World) -> None:
    account, item, code = await world.account(50), await world.goods(20), await world.code(Bonus(amount=7))
    order = await world.client.place_order(account, item)
    redemption = await world.client.redeem_promo(account, code)
    assert (await world.client.wait_for_redemption(redemption.id)).added == 7
    await world.operator.reject_fulfilment(order.id)
    await world.client.wait_for_order(order.id)
    assert await world.coins(account) == 57
