"""A message that makes its service fail, each time, is parked; all others are handled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

import holdfast.delivery.service
from contracts.commands import CreditAccount
from contracts.events import CoinsCredited, CoinsExpired, CoinsReserved
from holdfast.delivery.envelope import encode
from holdfast.delivery.message import Announcement, Message
from holdfast.delivery.unit_of_work import ATTEMPTS_MAX
from holdfast.entities.entities import Entities
from local.site import Site
from tests.service.facts import account_with, placed
from tests.service.probe import Probe, envelope
from tests.service.sites import Instance, bury, die, make, running, until, value
from user_service.deadlines import DeadlinePassed

POISON = 13
BALANCE = "SELECT balance FROM accounts WHERE account_id = :a"


class Died(BaseException):
    """Stands for the end of the process: nothing catches it."""


class Poisoned:
    """The user service's handlers, with one amount they cannot stand. `dies`: it ends the process, when handled."""

    def __init__(self, instance: Instance, dies: bool) -> None:
        self._instance, self._dies, self._real = instance, dies, instance.domain.handlers
        self.died = asyncio.Event()

    async def load(self, connection: AsyncConnection, messages: Sequence[Message], now: datetime) -> Entities:
        loaded: Entities = await self._real.load(connection, messages, now)
        return loaded

    def handle(self, state: Entities, message: Message, now: datetime) -> Sequence[Announcement]:
        if getattr(message.fact, "amount", 0) == POISON:
            if self._dies:
                die(self._instance)
                self.died.set()
                raise Died
            raise ZeroDivisionError("thirteen")
        return self._real.handle(state, message, now)

    async def save(self, connection: AsyncConnection, state: Entities) -> None:
        await self._real.save(connection, state)

    async def due(self, connection: AsyncConnection) -> Sequence[Any]:
        return await self._real.due(connection)


def _poisoned(site: Site, dies: bool) -> tuple[Instance, Poisoned]:
    instance = make(site, "user_service")
    handlers = Poisoned(instance, dies)
    object.__setattr__(instance.domain, "handlers", handlers)
    return instance, handlers


async def test_a_message_whose_handler_fails_is_parked_and_works_once_the_fault_is_gone(
    site: Site, probe: Probe
) -> None:
    async with running(site, "user_service"):
        account = await account_with(probe, 1)
    credits_ = [CreditAccount(credit_id=uuid4(), account_id=account, amount=amount) for amount in (1, POISON, 1, 1)]
    content_type, body = encode([envelope(each) for each in credits_])
    instance, _ = _poisoned(site, dies=False)
    await instance.start()
    await probe.publish("client", "commands", "account.credit", body, content_type)
    await probe.hear(CoinsCredited, credits_[-1].credit_id)
    parked = await probe.park("user_service.dead", str(credits_[1].credit_id))
    await instance.stop()
    assert "ZeroDivisionError: thirteen" in parked.reason
    assert await value(site, "user_service", BALANCE, a=account) == 4
    async with running(site, "user_service"):
        await probe.replay("user_service", parked)
        await probe.hear(CoinsCredited, credits_[1].credit_id)
        assert await value(site, "user_service", BALANCE, a=account) == 4 + POISON


async def test_a_batch_that_cannot_be_saved_is_handled_one_by_one(
    site: Site, probe: Probe, users: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, bad, good = await account_with(probe, 1), uuid4(), [uuid4(), uuid4()]
    save = users.domain.handlers.save

    async def fails(connection: AsyncConnection, state: Entities) -> None:
        if any(account.find(bad) for account in state.at.values()):
            raise ZeroDivisionError("not to be saved")
        await save(connection, state)

    monkeypatch.setattr(users.domain.handlers, "save", fails)
    facts = [CreditAccount(credit_id=each, account_id=account, amount=1) for each in (good[0], bad, good[1])]
    content_type, body = encode([envelope(each) for each in facts])
    await probe.publish("client", "commands", "account.credit", body, content_type)
    for each in good:
        await probe.hear(CoinsCredited, each)
    assert "not to be saved" in (await probe.park("user_service.dead", str(bad))).reason
    assert await value(site, "user_service", BALANCE, a=account) == 3


async def test_a_message_that_kills_its_service_each_time_is_parked_and_its_neighbours_are_not(
    site: Site, probe: Probe
) -> None:
    async with running(site, "user_service"):
        account = await account_with(probe, 1)
    amounts = (1, POISON, 1, 1)
    credits_ = [CreditAccount(credit_id=uuid4(), account_id=account, amount=amount) for amount in amounts]
    for each in credits_:
        await probe.send(each)
    killer = credits_[1].credit_id
    deaths = await _run_until_parked(site, probe, killer)
    assert deaths == ATTEMPTS_MAX + 1
    async with running(site, "user_service"):
        for each in credits_:
            if each.credit_id != killer:
                await probe.hear(CoinsCredited, each.credit_id)
        await probe.fence("user_service")
    assert [each.reason for each in probe.parked("user_service.dead")] == [
        f"begun {ATTEMPTS_MAX} times, and the service died each time"
    ]
    assert await value(site, "user_service", BALANCE, a=account) == 4
    assert await value(site, "user_service", "SELECT count(*) FROM attempts") == 0


async def _run_until_parked(site: Site, probe: Probe, killer: UUID) -> int:
    """Start the service again and again; returns how often it died of the message before that was parked."""
    deaths = 0
    while True:
        instance, handlers = _poisoned(site, dies=True)
        await instance.start()
        died = asyncio.create_task(handlers.died.wait())
        parked = asyncio.create_task(probe.park("user_service.dead", str(killer)))
        await asyncio.wait([died, parked], return_when=asyncio.FIRST_COMPLETED)
        over = parked.done()
        for task in (died, parked):
            task.cancel()
        await asyncio.gather(died, parked, return_exceptions=True)
        if over:
            await instance.stop()
            return deaths
        deaths += 1
        assert deaths <= 2 * ATTEMPTS_MAX
        await bury(instance)


async def test_a_deadline_that_cannot_be_handled_does_not_keep_the_service_busy(
    site: Site, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = make(site, "user_service")
    real, looked = instance.domain.handlers.handle, 0

    def fails(state: Entities, message: Message, now: datetime) -> Sequence[Announcement]:
        nonlocal looked
        if isinstance(message.fact, DeadlinePassed):
            looked += 1
            raise ZeroDivisionError("no deadline can pass")
        return real(state, message, now)

    monkeypatch.setattr(instance.domain.handlers, "handle", fails)
    monkeypatch.setattr(holdfast.delivery.service, "CLOCK_S", 3600.0)
    await instance.start()
    account, order_id = await account_with(probe, 50), uuid4()
    await probe.send(placed(account, order_id, hold_s=0.001))
    await probe.hear(CoinsReserved, order_id)
    await until(lambda: _any_due(instance), "the deadline has passed")
    assert not await instance.work.handle_due()
    assert not await instance.work.handle_due()
    assert looked == 2
    await instance.stop()
    async with running(site, "user_service"):
        await probe.hear(CoinsExpired, order_id)


async def _any_due(instance: Instance) -> bool:
    async with instance.engine.connect() as connection:
        return bool(await instance.domain.handlers.due(connection))
