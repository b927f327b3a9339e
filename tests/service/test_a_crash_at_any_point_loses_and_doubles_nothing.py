"""Wherever the process dies, the next one ends with each effect once and each answer given."""

from __future__ import annotations

import asyncio
from typing import get_args
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.commands import CreditAccount
from contracts.events import CoinsCredited, CoinsReserved
from holdfast.delivery.checkpoints import Checkpoint
from holdfast.delivery.database import asyncpg_url
from local.site import Site
from tests.service.facts import account_with, placed
from tests.service.probe import Probe
from tests.service.sites import Instance, bury, die, make, running, until, value

CREDITS = 20


class Died(BaseException):
    """Stands for the end of the process: nothing catches it."""


class Crash:
    """A hook that ends the instance the first time it reaches the checkpoint, and for good."""

    def __init__(self, at: Checkpoint) -> None:
        self._at, self.happened = at, asyncio.Event()
        self.instance: Instance | None = None

    async def __call__(self, checkpoint: Checkpoint) -> None:
        if checkpoint == self._at or self.happened.is_set():
            self.happened.set()
            assert self.instance
            die(self.instance)
            raise Died


@pytest.mark.parametrize("checkpoint", get_args(Checkpoint))
async def test_the_next_process_ends_what_this_one_began(site: Site, probe: Probe, checkpoint: Checkpoint) -> None:
    async with running(site, "user_service"):
        account = await account_with(probe, 50)
    order_id, credits_ = uuid4(), [uuid4() for _ in range(CREDITS)]
    await probe.send(placed(account, order_id))
    for each in credits_:
        await probe.send(CreditAccount(credit_id=each, account_id=account, amount=1))

    crash = Crash(checkpoint)
    crash.instance = make(site, "user_service", crash)
    await crash.instance.start()
    async with asyncio.timeout(30):
        await crash.happened.wait()
    await bury(crash.instance)

    async with running(site, "user_service"):
        await _told(probe, order_id, credits_)
        await _all_done(site, probe)
    await until(lambda: _waiting(probe), "the queue is empty")
    await _effects_once(site, account, order_id)


async def test_a_process_killed_in_its_transaction_leaves_the_next_one_all_of_it(site: Site, probe: Probe) -> None:
    first, second = site.service("user_service", 1), site.service("user_service", 2)
    first.start()
    try:
        account = await account_with(probe, 50)
        order_id, credits_ = uuid4(), [uuid4() for _ in range(CREDITS)]
        engine = create_async_engine(asyncpg_url(site.database_url("user_service", "user_service_owner")))
        async with engine.begin() as holder:
            await holder.execute(text("SELECT 1 FROM accounts WHERE account_id = :a FOR UPDATE"), {"a": account})
            await probe.send(placed(account, order_id))
            for each in credits_:
                await probe.send(CreditAccount(credit_id=each, account_id=account, amount=1))
            blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            await until(lambda: value(site, "user_service", blocked), "the service is in its transaction")
            first.kill()
        await engine.dispose()
        second.start()
        await _told(probe, order_id, credits_)
        await _all_done(site, probe)
        assert second.stop() == 0
        await _effects_once(site, account, order_id)
    finally:
        first.kill()
        second.kill()


async def _told(probe: Probe, order_id: UUID, credits_: list[UUID]) -> None:
    await probe.hear(CoinsReserved, order_id)
    for each in credits_:
        await probe.hear(CoinsCredited, each)
        assert len({heard.id for heard in probe.announced(CoinsCredited, each)}) == 1


async def _all_done(site: Site, probe: Probe) -> None:
    await probe.fence("user_service")
    gone = "SELECT NOT EXISTS (SELECT FROM outbox) AND NOT EXISTS (SELECT FROM attempts)"
    await until(lambda: value(site, "user_service", gone), "nothing is left to publish")
    assert not probe.parked("user_service.dead")


async def _effects_once(site: Site, account: str, order_id: UUID) -> None:
    """Fifty coins and the credits, of which twenty are set aside."""
    held = "SELECT sum(answer) FROM operations WHERE account_id = :a AND state = 'credited'"
    assert await value(site, "user_service", held, a=account) == 50 + CREDITS
    known = "SELECT count(*) FROM operations WHERE account_id = :a"
    assert await value(site, "user_service", known, a=account) == 1 + 1 + CREDITS
    state = "SELECT state FROM operations WHERE operation_id = :id"
    assert await value(site, "user_service", state, id=order_id) == "reserved"


async def _waiting(probe: Probe) -> bool:
    channel = await probe.channel("operator")
    queue = await channel.declare_queue("user_service", passive=True)
    return queue.declaration_result.message_count == 0
