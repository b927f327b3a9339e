"""Two replicas of a service, also where both handle the same messages at the same time."""

from __future__ import annotations

import asyncio
import random
from uuid import uuid4

import pytest

from contracts.commands import CancelOrder, CreditAccount, OpenAccount, PlaceOrder
from contracts.events import CoinsCaptured, CoinsCredited, OrderConfirmed
from holdfast.delivery.checkpoints import Checkpoint
from holdfast.delivery.unit_of_work import Arrived
from holdfast.delivery.words import Fact
from local.site import Site
from tests.service.facts import account_with, item_with, placed
from tests.service.probe import Probe
from tests.service.sites import Instance, arrived, rows, running, unstarted, until, value

OPERATIONS = 300


async def test_the_second_goes_on_when_the_first_ends_and_nothing_is_lost(site: Site, probe: Probe) -> None:
    async with running(site, "user_service"):
        accounts = [await account_with(probe, 1) for _ in range(3)]
    credits_ = [(uuid4(), accounts[i % 3]) for i in range(OPERATIONS)]
    async with running(site, "user_service"):
        async with running(site, "user_service"):
            for credit_id, account in credits_[:200]:
                await probe.send(CreditAccount(credit_id=credit_id, account_id=account, amount=2))
            await probe.hear(CoinsCredited, credits_[0][0])
        async with running(site, "user_service"):
            for credit_id, account in credits_[200:]:
                await probe.send(CreditAccount(credit_id=credit_id, account_id=account, amount=2))
            for credit_id, _ in credits_:
                await probe.hear(CoinsCredited, credit_id)
    for account in accounts:
        await _books_are_right(site, account, 1 + 2 * OPERATIONS // 3)
    assert not probe.parked("user_service.dead")


async def test_both_handle_the_same_messages_at_once_and_each_counts_once(site: Site, probe: Probe) -> None:
    accounts = [str(uuid4()) for _ in range(4)]
    opened: list[Fact] = [OpenAccount(account_id=account) for account in accounts]
    moves: list[Fact] = [
        CreditAccount(credit_id=uuid4(), account_id=accounts[i % 4], amount=3) for i in range(OPERATIONS)
    ]
    order_ids = [uuid4() for _ in accounts]
    orders: list[Fact] = [placed(account, each) for account, each in zip(accounts, order_ids, strict=True)]
    ends: list[Fact] = [
        OrderConfirmed(order_id=each, account_id=account) for account, each in zip(accounts, order_ids, strict=True)
    ]
    async with unstarted(site, "user_service") as one, unstarted(site, "user_service") as other:
        for together in (opened, moves, orders, ends):
            delivered = [arrived(one, fact) for fact in together]
            await asyncio.gather(_in_batches(one, delivered, 1), _in_batches(other, delivered, 2))
    for account in accounts:
        await _books_are_right(site, account, 3 * OPERATIONS // 4 - 20)
    assert await value(site, "user_service", "SELECT count(*) FROM inbox WHERE parked_reason IS NOT NULL") == 0
    async with running(site, "user_service"):
        for each in order_ids:
            await probe.hear(CoinsCaptured, each)


@pytest.mark.parametrize("first", ["order.place", "order.cancel"])
async def test_an_order_and_its_cancel_at_the_same_time_are_one_after_the_other(
    site: Site, probe: Probe, first: str
) -> None:
    async with running(site, "order_service"):
        item, order_id = await item_with(probe, 3), uuid4()
        await probe.fence("order_service")
    facts: list[Fact] = [
        PlaceOrder(order_id=order_id, account_id="buyer", item=item),
        CancelOrder(order_id=order_id, account_id="buyer"),
    ]
    facts.sort(key=lambda fact: fact.type != first)
    decided, commit = asyncio.Event(), asyncio.Event()

    async def holds(checkpoint: Checkpoint) -> None:
        if checkpoint == "before commit":
            decided.set()
            await commit.wait()

    async with unstarted(site, "order_service", holds) as one, unstarted(site, "order_service") as other:
        former = asyncio.create_task(one.work.handle([arrived(one, facts[0])]))
        await decided.wait()
        latter = asyncio.create_task(other.work.handle([arrived(other, facts[1])]))
        await until(lambda: _blocked(site), "the second waits for the first one's row")
        commit.set()
        await asyncio.gather(former, latter)
    state = "SELECT state FROM orders WHERE order_id = :id"
    assert await value(site, "order_service", state, id=order_id) == "cancelled"
    sent = await rows(site, "order_service", "SELECT routing_key FROM outbox ORDER BY created_at")
    expected = ["order.placed", "order.cancelled"] if first == "order.place" else ["order.cancelled"] * 2
    assert [each.routing_key for each in sent] == expected
    async with running(site, "order_service"):
        await until(lambda: value(site, "order_service", "SELECT NOT EXISTS (SELECT FROM outbox)"), "all is sent")


async def _in_batches(replica: Instance, delivered: list[Arrived], seed: int) -> None:
    """Handle all of it, in batches of sizes that differ between the replicas."""
    sizes, at = random.Random(seed), 0
    while at < len(delivered):
        size = sizes.randint(1, 40)
        await replica.work.handle(delivered[at : at + size])
        at += size


async def _books_are_right(site: Site, account: str, balance: int) -> None:
    assert await value(site, "user_service", "SELECT balance FROM accounts WHERE account_id = :a", a=account) == balance
    ledger = "SELECT seq, balance_before, balance_after FROM ledger WHERE account_id = :a ORDER BY seq"
    lines = await rows(site, "user_service", ledger, a=account)
    assert [each.seq for each in lines] == list(range(1, len(lines) + 1))
    assert [each.balance_before for each in lines] == [0, *(each.balance_after for each in lines[:-1])]
    assert lines[-1].balance_after == balance


async def _blocked(site: Site) -> bool:
    return bool(await value(site, "order_service", "SELECT count(*) FROM pg_locks WHERE NOT granted"))
