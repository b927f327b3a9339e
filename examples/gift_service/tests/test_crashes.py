"""Processes that die again and again in the middle of a gift, at each point: it moves its coins once all the same."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import get_args

import pytest

from examples.gift_service.tests.scenes import GIFT, account, coins, ended, endings, gift
from holdfast.delivery.checkpoints import Checkpoint
from holdfast.delivery.words import Service
from local.site import Site
from tests.service.probe import Probe
from tests.service.sites import Instance, bury, die, make, running, until, value

DEATHS_MAX = 20


class Died(BaseException):
    """Stands for the end of the process: nothing catches it."""


class Dies:
    """A hook that ends the instance for good when it comes to the checkpoint for the second time, so that each life
    gets one step further.
    """

    def __init__(self, at: Checkpoint) -> None:
        self._at, self._left, self.happened = at, 2, asyncio.Event()
        self.instance: Instance | None = None

    async def __call__(self, checkpoint: Checkpoint) -> None:
        self._left -= checkpoint == self._at
        if self._left <= 0:
            self.happened.set()
            assert self.instance
            die(self.instance)
            raise Died


async def live(site: Site, service: Service, checkpoint: Checkpoint, done: asyncio.Event) -> bool:
    """Let the service work until it dies or all is done. Whether it died."""
    hook = Dies(checkpoint)
    hook.instance = make(site, service, hook)
    await hook.instance.start()
    waits = [asyncio.create_task(each.wait()) for each in (hook.happened, done)]
    async with asyncio.timeout(40):
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for each in waits:
        each.cancel()
    await bury(hook.instance)
    return hook.happened.is_set()


@pytest.mark.parametrize("service", [GIFT, "user_service"])
@pytest.mark.parametrize("checkpoint", get_args(Checkpoint))
async def test_a_gift_outlives_its_services(site: Site, probe: Probe, service: Service, checkpoint: Checkpoint) -> None:
    async with running(site, "user_service"):
        giver, receiver = await account(probe, 50), await account(probe)
    other = "user_service" if service == GIFT else GIFT
    sent, deaths, done = gift(giver, receiver), 0, asyncio.Event()

    async def watch() -> None:
        await probe.wait(lambda: bool(endings(probe, sent.gift_id)), f"the end of gift {sent.gift_id}")
        done.set()

    watching = asyncio.create_task(watch())
    async with running(site, other):
        await probe.send(sent)
        while not done.is_set() and deaths < DEATHS_MAX:
            deaths += await live(site, service, checkpoint, done)
        await watching
        async with running(site, service):
            assert await ended(probe, sent.gift_id) == "gift.completed"
            assert await coins(probe, giver, receiver) == [30, 20]
            gone = "SELECT NOT EXISTS (SELECT FROM outbox)"
            for each in (service, other):
                await until(partial(value, site, each, gone), f"{each} has published all")
    assert deaths >= 1
    moved = "SELECT count(*) FROM ledger WHERE asked_by = 'gift' AND account_id = ANY(:a)"
    assert await value(site, "user_service", moved, a=[giver, receiver]) == 2
    assert not probe.parked(f"{GIFT}.dead")
    assert not probe.parked("user_service.dead")
