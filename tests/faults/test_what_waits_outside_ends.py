"""Commands that wait for others to come to their account: they hold up nobody, outlive a kill, and end in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from client.waiting import until
from holdfast.delivery.words import Service
from tests.faults.saga import Asked, effect_of
from tests.faults.stage import Stage
from tests.faults.traffic import SAGA_S_MAX, Traffic

SEED, SHOPPERS, COINS = 17, 3, 100
KILLED: Sequence[Service] = ("user_service", "order_service", "promo_service")


class Customer:
    """An account of its own in the traffic. What it begins, the traffic judges with the rest."""

    def __init__(self, traffic: Traffic, name: str) -> None:
        self._traffic, self.account = traffic, f"{traffic.name}-{name}"

    async def credit(self) -> None:
        """Open the account with 100 coins."""
        client, credit_id = self._traffic.client, uuid4()
        await self._traffic.until_confirmed(lambda: client.open_account(self.account))
        asked = Asked(self.account, "credit", COINS, _now())
        await self._traffic.begin(credit_id, asked, lambda: client.credit(self.account, COINS, credit_id=credit_id))
        await self._traffic.learn(credit_id, SAGA_S_MAX)

    async def buy(self, after: Sequence[UUID], deadline_s: float, order_id: UUID | None = None) -> UUID:
        """Buy one of what never sells out."""
        client, item, saga = self._traffic.client, self._traffic.shop.plenty, order_id or uuid4()
        await self._traffic.begin(
            saga,
            Asked(self.account, "reserve", item.price, _now()),
            lambda: client.place_order(self.account, item.name, deadline_s=deadline_s, order_id=saga, after=after),
        )
        return saga

    async def double(self, after: Sequence[UUID], redemption_id: UUID | None = None) -> UUID:
        """Double the coins, for good."""
        client, code, saga = self._traffic.client, self._traffic.shop.codes[0], redemption_id or uuid4()
        await self._traffic.begin(
            saga,
            Asked(self.account, *effect_of(code.effect), _now()),
            lambda: client.redeem_promo(self.account, code.name, redemption_id=saga, after=after),
        )
        return saga

    async def stand_outside(self, *sagas: UUID) -> None:
        """Return once all these do."""
        ask = self._traffic.client.ask
        await until(
            lambda: ask.account(self.account),
            lambda seen: {*sagas} <= {each.operation_id for each in seen.pending if each.state == "outside"},
            SAGA_S_MAX,
            f"{self.account}: {sagas} outside",
        )


@pytest.mark.parametrize("killed", KILLED)
async def test_two_that_name_each_other_both_end(stage: Stage, killed: Service) -> None:
    async with Traffic(stage, SEED, SHOPPERS) as traffic:
        customer, order_id, redemption_id = Customer(traffic, "circle"), uuid4(), uuid4()
        await customer.credit()
        await customer.buy([redemption_id], 4.0, order_id)
        await customer.double([order_id], redemption_id)
        await customer.stand_outside(order_id, redemption_id)
        await _kill_and_start(stage, killed)
        failed = await traffic.learn(order_id, SAGA_S_MAX)
        assert (failed.state, failed.reason in ("named_missing", "deadline_passed")) == ("failed", True)
        redeemed = await traffic.learn(redemption_id, SAGA_S_MAX)
        assert (redeemed.state, redeemed.added) in (("redeemed", COINS), ("refused", 0))
        await traffic.settled(f"two that name each other, and {killed} killed")


@pytest.mark.parametrize("killed", KILLED)
async def test_who_names_what_never_comes_holds_up_nobody_and_is_refused(stage: Stage, killed: Service) -> None:
    async with Traffic(stage, SEED, SHOPPERS) as traffic:
        customer = Customer(traffic, "waits")
        await customer.credit()
        stuck = await customer.double([uuid4()])
        await customer.stand_outside(stuck)
        order_id = await customer.buy([], 8.0)
        assert (await traffic.learn(order_id, SAGA_S_MAX)).state == "completed"
        await _kill_and_start(stage, killed)
        ended = await traffic.learn(stuck, SAGA_S_MAX)
        assert (ended.state, ended.reason) == ("refused", "named_missing")
        await traffic.settled(f"one that names what never comes, and {killed} killed")


@pytest.mark.parametrize("killed", KILLED)
async def test_what_comes_at_last_is_before_those_that_named_it(stage: Stage, killed: Service) -> None:
    """The traffic finds it if it is not."""
    async with Traffic(stage, SEED, SHOPPERS) as traffic:
        customer, order_id = Customer(traffic, "late"), uuid4()
        await customer.credit()
        redemption_id = await customer.double([order_id])
        await customer.stand_outside(redemption_id)
        await stage.kill(killed)
        await customer.buy([], 8.0, order_id)
        await stage.start(killed)
        price = traffic.shop.plenty.price
        assert (await traffic.learn(order_id, SAGA_S_MAX)).state == "completed"
        assert (await traffic.learn(redemption_id, SAGA_S_MAX)).added == COINS - price
        await traffic.settled(f"one that came after those that named it, and {killed} killed")


async def _kill_and_start(stage: Stage, name: Service) -> None:
    await stage.kill(name)
    await stage.start(name)


def _now() -> float:
    return asyncio.get_running_loop().time()
