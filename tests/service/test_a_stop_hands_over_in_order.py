"""What a stopping service was handed and did not begin goes back in its order, before its successor takes anything."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

import holdfast.delivery.consumer
from contracts.commands import CreditAccount, OpenAccount
from contracts.events import CoinsCredited, CoinsRefused
from holdfast.delivery.checkpoints import Checkpoint
from holdfast.delivery.connection import is_consuming
from holdfast.delivery.consumer import PREFETCH
from local.site import Site
from tests.service.probe import Probe
from tests.service.sites import make, running, until, value

PAIRS = 300
"""An opening and a credit each: more than a consumer is handed at once, so that a part is still in the queue."""
APART = 100
"""Openings between that of an account and its credit: wherever the backlog is cut, it is cut through many pairs."""
BATCH = 60
"""Leaves deliveries that the first was handed and did not begin."""


class HeldTwice:
    """A hook that waits as the first batch is taken, and as the second is: halfway through what was handed out."""

    def __init__(self) -> None:
        self.batches = 0
        self.taken = [asyncio.Event(), asyncio.Event()]
        self.go = [asyncio.Event(), asyncio.Event()]

    async def __call__(self, checkpoint: Checkpoint) -> None:
        if checkpoint == "batch taken":
            self.batches += 1
            if self.batches <= len(self.go):
                self.taken[self.batches - 1].set()
                await self.go[self.batches - 1].wait()


async def _send_apart(probe: Probe, pairs: list[tuple[str, UUID]]) -> None:
    """Each account's opening, and its credit so many messages later."""
    for i in range(len(pairs) + APART):
        if i < len(pairs):
            await probe.send(OpenAccount(account_id=pairs[i][0]))
        if i >= APART:
            account, credit_id = pairs[i - APART]
            await probe.send(CreditAccount(credit_id=credit_id, account_id=account, amount=7))


async def test_no_credit_overtakes_the_opening_of_its_account(
    site: Site, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdfast.delivery.consumer, "EVENTS_TOGETHER_MAX", BATCH)
    held, later = HeldTwice(), 0

    async def counts(checkpoint: Checkpoint) -> None:
        nonlocal later
        later += checkpoint == "batch taken"

    first = make(site, "user_service", held)
    await first.start()
    await probe.send(OpenAccount(account_id=str(uuid4())))
    async with asyncio.timeout(30):
        await held.taken[0].wait()
    pairs = [(f"handed-{uuid4()}", uuid4()) for _ in range(PAIRS)]
    async with running(site, "user_service", counts) as second:
        await until(lambda: is_consuming(second.broker), "the second stands by")
        await _send_apart(probe, pairs)
        await until(lambda: first.consumer._deliveries.qsize() == PREFETCH - 1, "the first was handed all it may be")
        held.go[0].set()
        async with asyncio.timeout(30):
            await held.taken[1].wait()
        assert first.consumer._deliveries.qsize() == PREFETCH - 1 - BATCH
        assert later == 0
        stopping = asyncio.create_task(first.stop())
        await until(lambda: first.consumer._stopping, "the first is told to stop")
        held.go[1].set()
        await stopping
        assert held.batches == 2
        for _, credit_id in pairs:
            await probe.hear(CoinsCredited, credit_id)
        await probe.fence("user_service")
        assert later > 0
    assert not probe.announced(CoinsRefused)
    assert not probe.parked("user_service.dead")
    right = "SELECT count(*) FROM accounts WHERE account_id LIKE 'handed-%' AND balance = 7"
    assert await value(site, "user_service", right) == PAIRS
