"""The broker's memory alarm: publishers wait, consumers go on, and nothing is lost when it is over."""

from __future__ import annotations

import asyncio
import signal
from uuid import uuid4

import pytest

from client.errors import Unconfirmed
from contracts.commands import CreditAccount
from tests.faults.operating import alarmed
from tests.faults.stage import Stage
from tests.faults.traffic import Traffic
from tests.service.sites import until, value

WAITING = 400
"""More than one delivery's worth, so that the queue drains only if acknowledgements arrive."""


@pytest.mark.timeout(240)
async def test_consumers_go_on_and_nothing_is_lost(stage: Stage) -> None:
    async with Traffic(stage, seed=1) as traffic:
        await traffic.reaches(30)
        account = f"{traffic.name}-own"
        await traffic.client.outcome(await traffic.client.open_account(account))
        stage.signal("user_service", signal.SIGSTOP)
        for _ in range(WAITING):
            await traffic.publish(CreditAccount(credit_id=uuid4(), account_id=account, amount=1))
        asked = asyncio.create_task(traffic.client.ask.account(account))
        await until(lambda: _ready(stage, "user_service.queries"), "a question waits as well")
        async with alarmed(stage.parts.broker):
            stage.signal("user_service", signal.SIGCONT)
            await until(lambda: _taken(stage, account), "the service takes what waited, in spite of the alarm")
            with pytest.raises(Unconfirmed):
                await traffic.client.open_account("blocked")
        await asyncio.gather(asked, return_exceptions=True)
        await traffic.settled("memory alarm")


async def _ready(stage: Stage, queue: str) -> bool:
    found = await asyncio.to_thread(stage.parts.broker.management.call, "GET", "queues", stage.site.vhost, queue)
    return bool(found.get("messages"))


async def _taken(stage: Stage, account: str) -> bool:
    credits_taken = "SELECT count(*) FROM ledger WHERE account_id = :account AND state = 'credited'"
    return bool(await value(stage.site, "user_service", credits_taken, account=account) == WAITING)
