"""Many questions at once are answered, and what arrives meanwhile is handled."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from contracts.commands import CreditAccount
from contracts.events import CoinsCredited
from holdfast.delivery.queries import ShowStatus
from tests.service.facts import account_with
from tests.service.probe import Probe
from tests.service.sites import Instance, until

QUESTIONS = 20
"""As many as a service is handed at once."""
MEANWHILE_S_MAX = 10.0
"""Far above what a busy machine needs, and far below any timeout that would free what is stuck."""


async def test_twenty_at_once_and_the_events_among_them(probe: Probe, users: Instance) -> None:
    account, credits_ = await account_with(probe, 1), [uuid4() for _ in range(QUESTIONS)]
    await until(lambda: _healthy(users), "it is healthy")
    async with asyncio.timeout(MEANWHILE_S_MAX):
        asked = [asyncio.create_task(probe.ask_raw(f"user_service.{ShowStatus.type}", b"")) for _ in credits_]
        for each in credits_:
            await probe.send(CreditAccount(credit_id=each, account_id=account, amount=1))
        for each in credits_:
            await probe.hear(CoinsCredited, each)
        answers = [each["answer"] for each in await asyncio.gather(*asked)]
    assert [(each["service"], each["healthy"], each["problems"]) for each in answers] == [
        ("user_service", True, [])
    ] * QUESTIONS


async def _healthy(instance: Instance) -> bool:
    return not await instance.health()
