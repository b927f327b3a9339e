"""The broker's memory alarm: publishers wait, consumers go on, and nothing is lost when it is over."""

from __future__ import annotations

import asyncio
import signal
from uuid import uuid4

import pytest

from client.errors import Unconfirmed
from contracts.commands import CreditAccount
from contracts.topology import inbox_queue
from tests.faults.operating import alarmed
from tests.faults.stage import Stage
from tests.faults.traffic import Traffic
from tests.service.sites import until

WAITING = 400
"""More than one delivery's worth, so that the queue drains only if acknowledgements arrive."""


@pytest.mark.timeout(240)
async def test_consumers_go_on_and_nothing_is_lost(stage: Stage) -> None:
    async with Traffic(stage, seed=1) as traffic:
        await traffic.reaches(30)
        await traffic.client.outcome(await traffic.client.open_account(f"{traffic.name}-own"))
        stage.signal("user_service", signal.SIGSTOP)
        for _ in range(WAITING):
            await traffic.publish(CreditAccount(credit_id=uuid4(), account_id=f"{traffic.name}-own", amount=1))
        asked = asyncio.create_task(traffic.client.ask.account(f"{traffic.name}-own"))
        await until(lambda: _ready(stage, "user_service.queries"), "a question waits as well")
        async with alarmed(stage.parts.broker):
            stage.signal("user_service", signal.SIGCONT)
            await until(lambda: _empty(stage), "the service takes what waited, in spite of the alarm")
            with pytest.raises(Unconfirmed):
                await traffic.client.open_account("blocked")
        await asyncio.gather(asked, return_exceptions=True)
        await traffic.settled("memory alarm")


async def _ready(stage: Stage, queue: str) -> bool:
    found = await asyncio.to_thread(stage.parts.broker.management.call, "GET", "queues", stage.site.vhost, queue)
    return bool(found.get("messages"))


async def _empty(stage: Stage) -> bool:
    return not await _ready(stage, inbox_queue("user_service"))
