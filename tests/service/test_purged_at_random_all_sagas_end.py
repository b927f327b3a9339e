"""The services at work, and an operator who purges their inboxes at random: every saga ends, and they agree."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractQueue

from client.audit import audit
from client.client import Client
from client.waiting import order_ended, redemption_ended
from contracts.roles import Multiply
from contracts.topology import SERVICES
from examples.gift_service.words import GiftView, SendGift, ShowGift
from holdfast.delivery.names import inbox_queue
from holdfast.delivery.words import Service
from local.site import Site
from tests.service.sites import Instance, entitle_the_administrator, make, until

ACCOUNTS = 6
PURGES_OF_EACH = 3
SETTINGS: dict[Service, dict[str, Any]] = {
    "user_service": {"join_s": 2.0},
    "order_service": {"ask_again_s": 0.5},
    "promo_service": {"ask_again_s": 0.5, "wait_s": 20.0},
    "gift_service": {"ask_again_s": 0.5},
}


@dataclass
class Traffic:
    """The services at work and the sagas in flight. `lost`: messages that the purges took."""

    client: Client
    operator: Client
    instances: dict[Service, Instance]
    accounts: list[str] = field(default_factory=list)
    orders: dict[UUID, Callable[[], Awaitable[object]]] = field(default_factory=dict)
    redemptions: dict[UUID, Callable[[], Awaitable[object]]] = field(default_factory=dict)
    gifts: dict[UUID, Callable[[], Awaitable[object]]] = field(default_factory=dict)
    lost: int = 0


@pytest.fixture
async def traffic(site: Site) -> AsyncIterator[Traffic]:
    """The system at work, with accounts, goods and codes that nobody purges."""
    instances: dict[Service, Instance] = {}
    async with AsyncExitStack() as opened:
        for service in SERVICES:
            instances[service] = make(site, service, **SETTINGS[service])
            await instances[service].start()
            opened.push_async_callback(_stop, instances, service)
        client = await opened.enter_async_context(Client(site.amqp_url("client")))
        operator = await opened.enter_async_context(Client(site.amqp_url("operator")))
        made = Traffic(client, operator, instances)
        for _ in range(ACCOUNTS):
            made.accounts.append(account := f"a-{uuid4().hex[:12]}")
            await client.outcome(await client.open_account(account))
            await client.outcome(await client.credit(account, 100))
        await operator.outcome(await operator.put_item("stocked", 7, 100))
        await operator.outcome(await operator.put_item("ordered", 11, fulfilment="external"))
        for number in range(5):
            await operator.outcome(await operator.put_promo(f"c-{number}", Multiply(factor=2)))
        yield made


async def _stop(instances: dict[Service, Instance], service: Service) -> None:
    await instances[service].stop()


@pytest.mark.timeout(180)
async def test_purged_at_random_moments_every_saga_ends_and_all_services_agree(site: Site, traffic: Traffic) -> None:
    chance = random.Random(3)
    await _begin_in_vain(traffic)
    purging = asyncio.create_task(_purge(site, traffic, chance))
    while not purging.done():
        await _begin(traffic, chance)
        await asyncio.sleep(chance.uniform(0, 0.2))
    await purging
    await until(lambda: _all_ended(traffic), "the end of every saga", within_s=90)
    await until(lambda: _all_at_rest(traffic), "nothing pending of any account")
    report = await audit(site.client_env()["HOLDFAST_AUDIT_DATABASE_URL"])
    assert report.findings == ()
    assert traffic.lost >= PURGES_OF_EACH * len(SERVICES)
    orders = [await traffic.client.ask.order(each) for each in traffic.orders]
    assert {each.state for each in orders if each} >= {"completed", "failed"}


async def _begin(traffic: Traffic, chance: random.Random) -> None:
    """A purchase from stock or from outside, a redemption or a gift, kept with how to send it again."""
    account, saga = chance.choice(traffic.accounts), uuid4()
    client, operator = traffic.client, traffic.operator
    draw = chance.random()
    if draw < 0.2:
        other = chance.choice([each for each in traffic.accounts if each != account])
        send = _again(lambda: client.send(SendGift(gift_id=saga, account_id=account, receiver_id=other, amount=3)))
        traffic.gifts[saga] = send
    elif draw < 0.5:
        quantity = chance.randint(1, 3)
        send = _again(lambda: client.place_order(account, "stocked", quantity, order_id=saga))
        traffic.orders[saga] = send
    elif draw < 0.75:
        send = _again(
            lambda: client.place_order(account, "ordered", deadline_s=5.0, order_id=saga),
            lambda: operator.accept_fulfilment(saga),
        )
        traffic.orders[saga] = send
    else:
        code = f"c-{chance.randrange(5)}"
        send = _again(lambda: client.redeem_promo(account, code, redemption_id=saga, wait_s=20.0))
        traffic.redemptions[saga] = send
    await send()


async def _begin_in_vain(traffic: Traffic) -> None:
    """A purchase that nobody outside answers for, so that its deadline ends it."""
    account, saga = traffic.accounts[0], uuid4()
    traffic.orders[saga] = _again(lambda: traffic.client.place_order(account, "ordered", deadline_s=5.0, order_id=saga))
    await traffic.orders[saga]()


def _again(*sends: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
    async def all_of_them() -> None:
        for send in sends:
            await send()

    return all_of_them


async def _purge(site: Site, traffic: Traffic, chance: random.Random) -> None:
    """Stop one service or another while messages flow, and purge its inbox before it is started again.

    Of a service at work a purge takes nothing: what arrives is delivered at once, and kept until it is handled.
    """
    entitle_the_administrator(site)
    connection = await aio_pika.connect(site.amqp_url("admin"))
    async with connection:
        channel = await connection.channel()
        for service in chance.sample([*SERVICES] * PURGES_OF_EACH, PURGES_OF_EACH * len(SERVICES)):
            await asyncio.sleep(chance.uniform(0, 0.5))
            await traffic.instances[service].stop()
            queue = await channel.get_queue(inbox_queue(service), ensure=False)

            async def purged(queue: AbstractQueue = queue) -> int:
                return (await queue.purge()).message_count or 0

            traffic.lost += await until(purged, f"something is lost from the inbox of {service}")
            traffic.instances[service] = make(site, service, **SETTINGS[service])
            await traffic.instances[service].start()


async def _all_ended(traffic: Traffic) -> bool:
    """Whether every saga has ended. What its service never heard of is sent again, as a client would."""
    ended = True
    for order_id, send in traffic.orders.items():
        order = await traffic.client.ask.order(order_id)
        if order is None:
            await send()
        ended = ended and order is not None and order_ended(order)
    for redemption_id, send in traffic.redemptions.items():
        redemption = await traffic.client.ask.redemption(redemption_id)
        if redemption is None:
            await send()
        ended = ended and redemption is not None and redemption_ended(redemption)
    for gift_id, send in traffic.gifts.items():
        gift = await traffic.client.ask(ShowGift(gift_id=gift_id))
        if gift is None:
            await send()
        ended = ended and isinstance(gift, GiftView) and gift.state in ("completed", "failed")
    return ended


async def _all_at_rest(traffic: Traffic) -> bool:
    views = [await traffic.client.ask.account(account) for account in traffic.accounts]
    return all(view is not None and not view.pending for view in views)
