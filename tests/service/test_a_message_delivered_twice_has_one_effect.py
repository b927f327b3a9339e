"""The same message, and the same command in another envelope: one effect, and the same answer each time."""

from __future__ import annotations

from uuid import uuid4

import pytest

from contracts.commands import CreditAccount, OpenAccount, PlaceOrder, PutItem, PutPromo, RedeemPromo
from contracts.events import (
    CoinsCaptured,
    CoinsCredited,
    CoinsMultiplied,
    CoinsReserved,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    PromoClaimed,
    PromoRedeemed,
)
from contracts.roles import Multiply
from local.site import Site
from tests.service.facts import reserved
from tests.service.probe import Probe
from tests.service.sites import kept_as, rows, value


@pytest.mark.usefixtures("users")
async def test_a_credit_counts_once(site: Site, probe: Probe) -> None:
    account, credit_id, message_id = str(uuid4()), uuid4(), uuid4()
    await probe.send(OpenAccount(account_id=account))
    credit = CreditAccount(credit_id=credit_id, account_id=account, amount=7)
    for _ in range(3):
        await probe.send(credit, id=message_id)
    await probe.fence("user_service")
    assert len(probe.announced(CoinsCredited, credit_id)) == 1

    await probe.send(credit)
    await probe.hear(CoinsCredited, credit_id, times=2)
    first, again = probe.announced(CoinsCredited, credit_id)
    assert (first.id, first.data) == (again.id, again.data)
    assert await value(site, "user_service", "SELECT balance FROM accounts WHERE account_id = :a", a=account) == 7
    assert await value(site, "user_service", "SELECT count(*) FROM ledger WHERE account_id = :a", a=account) == 1


@pytest.mark.usefixtures("users")
async def test_every_step_of_a_reservation_counts_once(site: Site, probe: Probe) -> None:
    account, order_id = str(uuid4()), uuid4()
    await probe.send(OpenAccount(account_id=account))
    await probe.send(CreditAccount(credit_id=uuid4(), account_id=account, amount=50))
    for step, answer in (
        (OrderPlaced(order_id=order_id, account_id=account, amount=20, hold_s=600.0), CoinsReserved),
        (OrderConfirmed(order_id=order_id, account_id=account), CoinsCaptured),
    ):
        await probe.send(step, id=(same := uuid4()))
        await probe.send(step, id=same)
        await probe.hear(answer, order_id)
        await probe.send(step)
        await probe.hear(answer, order_id, times=2)
        assert len({each.id for each in probe.announced(answer, order_id)}) == 1
    await probe.fence("user_service")
    assert len(probe.announced(CoinsReserved, order_id)) == 2
    assert len(probe.announced(CoinsCaptured, order_id)) == 2
    assert await value(site, "user_service", "SELECT balance FROM accounts WHERE account_id = :a", a=account) == 30


@pytest.mark.usefixtures("users")
async def test_a_doubling_doubles_once(site: Site, probe: Probe) -> None:
    account, redemption_id = str(uuid4()), uuid4()
    await probe.send(OpenAccount(account_id=account))
    await probe.send(CreditAccount(credit_id=uuid4(), account_id=account, amount=50))
    claimed = PromoClaimed(
        redemption_id=redemption_id, account_id=account, effect=Multiply(factor=2), wait_s=60.0, join_s=60.0
    )
    for times in (1, 2, 3):
        await probe.send(claimed)
        await probe.hear(CoinsMultiplied, redemption_id, times)
    assert {each.data["added"] for each in probe.announced(CoinsMultiplied, redemption_id)} == {50}
    assert await value(site, "user_service", "SELECT balance FROM accounts WHERE account_id = :a", a=account) == 100


@pytest.mark.usefixtures("orders")
async def test_an_order_takes_its_goods_once(site: Site, probe: Probe) -> None:
    item, order_id = f"item-{uuid4()}", uuid4()
    await probe.send(PutItem(item=item, price=5, stock=3))
    place = PlaceOrder(order_id=order_id, account_id="buyer", item=item)
    taken = reserved("buyer", order_id)
    captured = CoinsCaptured(account_id="buyer", operation_id=order_id, asked_by="order", amount=5)
    for step, answer in ((place, OrderPlaced), (taken, OrderConfirmed), (captured, OrderCompleted)):
        await probe.send(step, id=(same := uuid4()))
        await probe.send(step, id=same)
        await probe.send(step)
        await probe.hear(answer, order_id)
    await probe.send(place)
    await probe.hear(OrderCompleted, order_id, times=2)
    assert {each.id for each in probe.announced(OrderPlaced, order_id)} == {probe.announced(OrderPlaced)[0].id}
    assert len(probe.announced(OrderConfirmed, order_id)) == 1
    assert await value(site, "order_service", "SELECT pieces FROM stock WHERE item = :i", i=item) == 2


@pytest.mark.usefixtures("promos")
async def test_a_redemption_takes_one_use(site: Site, probe: Probe) -> None:
    code, redemption_id = f"code-{uuid4()}", uuid4()
    await probe.send(PutPromo(code=code, effect=Multiply(factor=2), uses_max=5))
    redeem = RedeemPromo(redemption_id=redemption_id, account_id="fan", code=code)
    multiplied = CoinsMultiplied(account_id="fan", operation_id=redemption_id, asked_by="promo", factor=2, added=9)
    for step, answer in ((redeem, PromoClaimed), (multiplied, PromoRedeemed)):
        await probe.send(step, id=(same := uuid4()))
        await probe.send(step, id=same)
        await probe.send(step)
        await probe.hear(answer, redemption_id)
    await probe.send(redeem)
    await probe.hear(PromoRedeemed, redemption_id, times=2)
    assert len({each.id for each in probe.announced(PromoClaimed, redemption_id)}) == 1
    assert await value(site, "promo_service", "SELECT count FROM uses WHERE use_of = :c", c=kept_as(site, code)) == 1
    assert [each.added for each in await rows(site, "promo_service", "SELECT added FROM redemptions")] == [9]


@pytest.mark.usefixtures("orders")
async def test_an_item_is_put_once_by_a_message_that_the_inbox_has_forgotten(site: Site, probe: Probe) -> None:
    item, message_id = f"item-{uuid4()}", uuid4()
    first, second = PutItem(item=item, price=5, stock=3), PutItem(item=item, price=50, stock=0)
    await probe.send(first, id=message_id)
    await probe.send(second)
    await probe.fence("order_service")
    await rows(site, "order_service", "DELETE FROM inbox")
    await probe.send(first, id=message_id)
    await probe.fence("order_service")
    kept = "SELECT price, pieces FROM items JOIN stock USING (item) WHERE item = :i"
    assert [tuple(each) for each in await rows(site, "order_service", kept, i=item)] == [(50, 0)]
    await probe.send(first)
    await probe.fence("order_service")
    assert [tuple(each) for each in await rows(site, "order_service", kept, i=item)] == [(5, 3)]


@pytest.mark.usefixtures("promos")
async def test_a_code_is_put_once_by_a_message_that_the_inbox_has_forgotten(site: Site, probe: Probe) -> None:
    code, message_id = f"code-{uuid4()}", uuid4()
    first, second = PutPromo(code=code, effect=Multiply(factor=9)), PutPromo(code=code, effect=Multiply(factor=2))
    await probe.send(first, id=message_id)
    await probe.send(second)
    await probe.fence("promo_service")
    await rows(site, "promo_service", "DELETE FROM inbox")
    await probe.send(first, id=message_id)
    await probe.fence("promo_service")
    size = "SELECT size FROM codes WHERE code_hash = :c"
    assert await value(site, "promo_service", size, c=kept_as(site, code)) == 2
    await probe.send(first)
    await probe.fence("promo_service")
    assert await value(site, "promo_service", size, c=kept_as(site, code)) == 9
