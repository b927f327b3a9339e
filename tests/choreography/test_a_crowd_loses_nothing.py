"""Many accounts, every kind of command, all at once: every saga ends, all services agree, no coin is made or lost."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from uuid import UUID

from contracts.queries import OrderView, RedemptionView
from contracts.roles import Bonus
from tests.choreography.conftest import World

ACCOUNTS = 12
COMMANDS = 240


@dataclass
class Sent:
    """What was sent for each account."""

    orders: dict[UUID, str] = field(default_factory=dict)
    redemptions: dict[UUID, str] = field(default_factory=dict)
    external: list[UUID] = field(default_factory=list)


async def test_every_saga_of_a_crowd_ends_and_the_books_are_right(world: World) -> None:
    chance = random.Random(2026)
    accounts = [await world.account(100) for _ in range(ACCOUNTS)]
    instant, external = await world.goods(7, stock=40), await world.goods(11)
    codes = [await world.code() for _ in range(3)] + [await world.code(Bonus(amount=13), uses_max=5)]
    sent = Sent()
    for _ in range(COMMANDS):
        await _send_one(world, chance, accounts, (instant, external), codes, sent)
    for order_id in sent.external:
        if chance.random() < 0.5:
            await world.operator.accept_fulfilment(order_id)
        elif chance.random() < 0.9:
            await world.operator.reject_fulfilment(order_id)
    orders = await asyncio.gather(*(world.client.wait_for_order(each, 60) for each in sent.orders))
    redemptions = await asyncio.gather(*(world.client.wait_for_redemption(each, 60) for each in sent.redemptions))
    await _expect_balances(world, accounts, orders, redemptions)
    report = await world.report()
    assert report.findings == ()
    assert {order.state for order in orders} >= {"completed", "failed"}


async def _send_one(
    world: World,
    chance: random.Random,
    accounts: list[str],
    items: tuple[str, str],
    codes: list[str],
    sent: Sent,
) -> None:
    account = chance.choice(accounts)
    draw = chance.random()
    if draw < 0.45:
        order = await world.client.place_order(account, items[0], chance.randint(1, 3))
        sent.orders[order.id] = account
    elif draw < 0.7:
        order = await world.client.place_order(account, items[1], deadline_s=5.0)
        sent.orders[order.id] = account
        sent.external.append(order.id)
    elif draw < 0.8 and sent.orders:
        order_id, owner = chance.choice(list(sent.orders.items()))
        await world.client.cancel_order(owner, order_id)
    else:
        redemption = await world.client.redeem_promo(account, chance.choice(codes))
        sent.redemptions[redemption.id] = account


async def _expect_balances(
    world: World, accounts: list[str], orders: list[OrderView], redemptions: list[RedemptionView]
) -> None:
    """Each account has what it was given, plus what promos added, less what its completed orders cost."""
    for account in accounts:
        spent = sum(order.amount or 0 for order in orders if order.account_id == account and order.state == "completed")
        added = sum(each.added or 0 for each in redemptions if each.account_id == account)
        assert await world.coins(account) == 100 + added - spent
