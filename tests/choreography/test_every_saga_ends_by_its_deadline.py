"""Nobody answers, and still every saga ends."""

from __future__ import annotations

from uuid import uuid4

from tests.choreography.conftest import World


async def test_an_order_that_nobody_fulfils_fails_and_the_doubling_behind_it_goes_on(world: World) -> None:
    account, item, code = await world.account(50), await world.goods(20), await world.code()
    order = await world.client.place_order(account, item, deadline_s=1.0)
    redemption = await world.client.redeem_promo(account, code)
    ended = await world.client.wait_for_order(order.id)
    assert ended.state == "failed"
    assert ended.reason in ("deadline_passed", "reservation_expired")
    assert (await world.client.wait_for_redemption(redemption.id)).added == 50
    assert await world.coins(account) == 100


async def test_an_answer_after_the_deadline_changes_nothing(world: World) -> None:
    account, item = await world.account(50), await world.goods(20)
    order = await world.client.place_order(account, item, deadline_s=0.5)
    assert (await world.client.wait_for_order(order.id)).state == "failed"
    accepted = await world.operator.accept_fulfilment(order.id)
    await world.operator.outcome(accepted)
    view = await world.client.ask.order(order.id)
    assert view is not None
    assert view.state == "failed"
    assert await world.coins(account) == 50


async def test_a_doubling_waits_no_longer_than_it_was_told_and_its_use_is_given_back(world: World) -> None:
    account, item, code = await world.account(50), await world.goods(20), await world.code(uses_max=1)
    order = await world.client.place_order(account, item)
    await world.standing(account, order.id, "reserved")
    redemption = await world.client.redeem_promo(account, code, wait_s=0.5)
    ended = await world.client.wait_for_redemption(redemption.id)
    assert (ended.state, ended.reason) == ("refused", "wait_deadline_passed")
    promo = await world.operator.ask.promo(code)
    assert promo is not None
    assert promo.uses == 0
    await world.operator.reject_fulfilment(order.id)
    assert await world.coins(account) == 50


async def test_a_doubling_behind_a_purchase_that_failed_elsewhere_does_not_wait_for_it(world: World) -> None:
    """The order is named in `after` and fails in the order service, before the user service ever hears its amount."""
    account, code = await world.account(50), await world.code()
    order = await world.client.place_order(account, "no-such-item")
    redemption = await world.client.redeem_promo(account, code)
    assert (await world.client.wait_for_order(order.id)).reason == "unknown_item"
    assert (await world.client.wait_for_redemption(redemption.id, timeout_s=15)).added == 50
    assert await world.coins(account) == 100


async def test_a_cancel_that_overtakes_its_order_cancels_it(world: World) -> None:
    account, item = await world.account(50), await world.goods(20)
    order_id = uuid4()
    await world.client.outcome(await world.client.cancel_order(account, order_id))
    await world.client.outcome(await world.client.place_order(account, item, order_id=order_id))
    assert (await world.client.wait_for_order(order_id)).state == "cancelled"
    assert await world.coins(account) == 50


async def test_a_cancel_after_the_end_changes_nothing(world: World) -> None:
    account, item = await world.account(50), await world.goods(20, stock=1)
    order = await world.client.place_order(account, item)
    await world.client.wait_for_order(order.id)
    await world.client.outcome(await world.client.cancel_order(account, order.id))
    assert (await world.client.wait_for_order(order.id)).state == "completed"
    assert await world.coins(account) == 30
