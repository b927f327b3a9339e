"""A deadline holds whether or not anybody looked at the clock, and what comes after an end changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

import holdfast.delivery.service
from contracts.commands import CancelOrder, FulfilmentRejected, PlaceOrder, PutPromo, RedeemPromo
from contracts.events import (
    CancelRefused,
    CoinsCaptured,
    CoinsExpired,
    CoinsRefused,
    CoinsReserved,
    OperationWaiting,
    OrderCompleted,
    OrderConfirmed,
    OrderFailed,
    OrderPlaced,
    PromoClaimed,
    PromoRedeemed,
    PromoRefused,
)
from contracts.roles import Bonus
from local.site import Site
from tests.service.facts import account_with, doubled, item_with, placed, reserved
from tests.service.probe import Probe
from tests.service.sites import kept_as, running, until, value

IN_TIME_S = 0.01


@pytest.fixture
def nobody_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is looked at once, at the start, when nothing is due yet."""
    monkeypatch.setattr(holdfast.delivery.service, "CLOCK_S", 3600.0)


@pytest.mark.usefixtures("nobody_sweeps")
async def test_a_capture_after_the_deadline_is_refused_though_nobody_swept(site: Site, probe: Probe) -> None:
    async with running(site, "user_service"):
        account, order_id = await account_with(probe, 50), uuid4()
        await probe.send(placed(account, order_id, hold_s=IN_TIME_S))
        await probe.hear(CoinsReserved, order_id)
        await _passed(site, "user_service", "operations", "operation_id", order_id)
        assert not probe.announced(CoinsExpired, order_id)
        await probe.send(OrderConfirmed(order_id=order_id, account_id=account))
        await probe.hear(CoinsExpired, order_id)
        await probe.fence("user_service")
        assert not probe.announced(CoinsCaptured, order_id)
        assert await value(site, "user_service", "SELECT balance FROM accounts WHERE account_id = :a", a=account) == 50


@pytest.mark.usefixtures("nobody_sweeps")
async def test_coins_that_come_after_the_orders_deadline_find_it_failed(site: Site, probe: Probe) -> None:
    async with running(site, "order_service"):
        item, order_id = await item_with(probe, 3), uuid4()
        await probe.send(PlaceOrder(order_id=order_id, account_id="buyer", item=item, deadline_s=IN_TIME_S))
        await probe.hear(OrderPlaced, order_id)
        await _passed(site, "order_service", "orders", "order_id", order_id)
        await probe.send(reserved("buyer", order_id))
        assert (await probe.hear(OrderFailed, order_id))["reason"] == "deadline_passed"
        assert await value(site, "order_service", "SELECT pieces FROM stock WHERE item = :i", i=item) == 3


@pytest.mark.usefixtures("users")
async def test_deadlines_are_told_without_anybody_asking(site: Site, probe: Probe) -> None:
    account, order_id, redemption_id = await account_with(probe, 50), uuid4(), uuid4()
    await probe.send(placed(account, order_id, hold_s=600.0))
    await probe.send(doubled(account, redemption_id, wait_s=0.2))
    await probe.hear(OperationWaiting, redemption_id)
    assert (await probe.hear(CoinsRefused, redemption_id))["reason"] == "wait_deadline_passed"
    other = uuid4()
    await probe.send(placed(account, other, hold_s=0.2))
    await probe.hear(CoinsReserved, other)
    await probe.hear(CoinsExpired, other)


@pytest.mark.usefixtures("orders")
async def test_an_order_that_is_over_stays_as_it_ended(site: Site, probe: Probe) -> None:
    item, order_id = await item_with(probe, 3), uuid4()
    place = PlaceOrder(order_id=order_id, account_id="buyer", item=item)
    await probe.send(place)
    await probe.send(reserved("buyer", order_id))
    await probe.send(CoinsCaptured(account_id="buyer", operation_id=order_id, asked_by="order", amount=5))
    await probe.hear(OrderCompleted, order_id)
    await probe.send(CancelOrder(order_id=order_id, account_id="buyer"))
    assert (await probe.hear(CancelRefused, order_id))["reason"] == "completed"
    await probe.send(FulfilmentRejected(order_id=order_id))
    await probe.park("order_service.dead", str(order_id))
    await probe.send(place)
    await probe.hear(OrderCompleted, order_id, times=2)
    assert await value(site, "order_service", "SELECT pieces FROM stock WHERE item = :i", i=item) == 2


@pytest.mark.usefixtures("promos")
async def test_a_code_is_refused_outside_its_time_and_a_refused_use_is_free_again(site: Site, probe: Probe) -> None:
    over, code, first, second = f"over-{uuid4()}", f"code-{uuid4()}", uuid4(), uuid4()
    await probe.send(PutPromo(code=over, effect=Bonus(amount=5), valid_until=datetime(2020, 1, 1, tzinfo=UTC)))
    late = uuid4()
    await probe.send(RedeemPromo(redemption_id=late, account_id="fan", code=over))
    assert (await probe.hear(PromoRefused, late))["reason"] == "code_not_accepted"
    kept = "SELECT reason FROM redemptions WHERE redemption_id = :r"
    assert await value(site, "promo_service", kept, r=late) == "no_longer_valid"

    await probe.send(PutPromo(code=code, effect=Bonus(amount=5), uses_max=1))
    await probe.send(RedeemPromo(redemption_id=first, account_id="fan", code=code))
    await probe.hear(PromoClaimed, first)
    refused = CoinsRefused(account_id="fan", operation_id=first, asked_by="promo", kind="bonus", reason="balance_limit")
    await probe.send(refused)
    await probe.hear(PromoRefused, first)
    await probe.send(refused)
    await probe.send(RedeemPromo(redemption_id=second, account_id="fan", code=code))
    await probe.hear(PromoClaimed, second)
    await probe.send(refused)
    await probe.fence("promo_service")
    assert not probe.announced(PromoRedeemed, second)
    in_flight = "SELECT count(*) FROM operations WHERE use_of = :c AND state = 'reserved'"
    assert await value(site, "promo_service", in_flight, c=kept_as(site, code)) == 1


async def _passed(site: Site, service: str, table: str, key: str, saga: UUID) -> None:
    """Wait for the deadline by the clock of the service's own database."""
    passed = f"SELECT deadline < clock_timestamp() FROM {table} WHERE {key} = :saga"
    await until(lambda: value(site, service, passed, saga=saga), "the deadline is in the past")
