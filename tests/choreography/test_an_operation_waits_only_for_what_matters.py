"""A wait has a reason, names it, and has an end."""

from __future__ import annotations

from datetime import timedelta

from tests.choreography.conftest import World


async def test_a_doubling_waits_for_the_reservations_ahead_of_it_and_says_so(world: World) -> None:
    account, item, code = await world.account(50), await world.goods(20), await world.code()
    first = await world.client.place_order(account, item)
    second = await world.client.place_order(account, item)
    redemption = await world.client.redeem_promo(account, code, wait_s=600)
    for order in (first, second):
        await world.standing(account, order.id, "reserved")
    waiting = await world.standing(account, redemption.id, "waiting")
    assert set(waiting.waits_for) == {first.id, second.id}
    view = await world.show(account)
    assert waiting.waits_until is not None
    assert timedelta(0) < waiting.waits_until - view.now <= timedelta(seconds=600)
    assert (view.balance, view.available, view.possible) == (50, 10, 100)
    await world.operator.reject_fulfilment(first.id)
    await world.operator.accept_fulfilment(second.id)
    assert (await world.client.wait_for_redemption(redemption.id)).added == 30
    assert await world.coins(account) == 60


async def test_a_doubling_does_not_wait_for_reservations_behind_it(world: World) -> None:
    account, item, code = await world.account(50), await world.goods(20), await world.code()
    first = await world.client.place_order(account, item)
    redemption = await world.client.redeem_promo(account, code)
    await world.standing(account, redemption.id, "accepted")
    behind = await world.client.place_order(account, item)
    await world.standing(account, behind.id, "reserved")
    await world.operator.reject_fulfilment(first.id)
    assert (await world.client.wait_for_redemption(redemption.id)).added == 50
    await world.operator.accept_fulfilment(behind.id)
    assert (await world.client.wait_for_order(behind.id)).state == "completed"
    assert await world.coins(account) == 80


async def test_what_an_accepted_doubling_makes_certain_is_spent_at_once(world: World) -> None:
    account, item, house = await world.account(50), await world.goods(20), await world.goods(60)
    first = await world.client.place_order(account, item)
    await world.standing(account, first.id, "reserved")
    assert (await world.show(account)).available == 30
    redemption = await world.client.redeem_promo(account, await world.code())
    assert (await world.standing(account, redemption.id, "accepted")).waits_for == (first.id,)
    view = await world.show(account)
    assert (view.balance, view.available, view.possible) == (50, 60, 100)
    second = await world.client.place_order(account, house)
    await world.standing(account, second.id, "reserved")
    for order in (second, first):
        await world.operator.accept_fulfilment(order.id)
        assert (await world.client.wait_for_order(order.id)).state == "completed"
    assert (await world.client.wait_for_redemption(redemption.id)).added == 30
    assert await world.coins(account) == 0


async def test_a_doubling_that_may_be_withdrawn_makes_nothing_certain(world: World) -> None:
    account, item = await world.account(50), await world.goods(20)
    order = await world.client.place_order(account, item)
    redemption = await world.client.redeem_promo(account, await world.code(), wait_s=600)
    await world.standing(account, redemption.id, "waiting")
    assert (await world.show(account)).available == 30
    await world.operator.reject_fulfilment(order.id)
    assert (await world.client.wait_for_redemption(redemption.id)).added == 50


async def test_two_purchases_do_not_wait_for_each_other_while_the_coins_suffice(world: World) -> None:
    account, item = await world.account(50), await world.goods(20)
    orders = [await world.client.place_order(account, item) for _ in range(2)]
    for order in orders:
        await world.standing(account, order.id, "reserved")
    for order in reversed(orders):
        await world.operator.accept_fulfilment(order.id)
        assert (await world.client.wait_for_order(order.id)).state == "completed"
    assert await world.coins(account) == 10


async def test_a_purchase_is_not_refused_on_coins_that_a_failing_order_may_give_back(world: World) -> None:
    account, item = await world.account(30), await world.goods(20)
    first = await world.client.place_order(account, item)
    second = await world.client.place_order(account, item)
    assert (await world.standing(account, second.id, "waiting")).waits_for == (first.id,)
    await world.operator.reject_fulfilment(first.id)
    await world.standing(account, second.id, "reserved")
    await world.operator.accept_fulfilment(second.id)
    assert (await world.client.wait_for_order(second.id)).state == "completed"
    assert await world.coins(account) == 10


async def test_a_purchase_is_refused_once_it_is_sure_that_the_coins_are_spent(world: World) -> None:
    account, item = await world.account(30), await world.goods(20)
    first = await world.client.place_order(account, item)
    second = await world.client.place_order(account, item)
    await world.standing(account, second.id, "waiting")
    await world.operator.accept_fulfilment(first.id)
    ended = await world.client.wait_for_order(second.id)
    assert (ended.state, ended.reason) == ("failed", "insufficient_coins")
    assert await world.coins(account) == 10


async def test_a_purchase_that_can_never_be_paid_is_refused_at_once(world: World) -> None:
    account, item = await world.account(10), await world.goods(20)
    order = await world.client.place_order(account, item)
    assert (await world.client.wait_for_order(order.id)).reason == "insufficient_coins"


async def test_a_credit_behind_a_waiting_doubling_is_answered_at_once(world: World) -> None:
    account, item, code = await world.account(50), await world.goods(20), await world.code()
    order = await world.client.place_order(account, item)
    redemption = await world.client.redeem_promo(account, code)
    await world.standing(account, redemption.id, "accepted")
    credit = await world.client.credit(account, 5)
    assert (await world.client.wait_for_operation(account, credit.id)).state == "credited"
    await world.operator.reject_fulfilment(order.id)
    await world.client.wait_for_redemption(redemption.id)
    assert await world.coins(account) == 105
