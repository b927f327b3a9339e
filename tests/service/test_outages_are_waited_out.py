"""The database or the broker goes away while messages flow, and comes back: nothing is lost, doubled or spun on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from urllib.error import HTTPError
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.events import CoinsCredited, PromoClaimed
from contracts.roles import Bonus
from holdfast.delivery.envelope import SINGLE
from local.guard import throwaway_parts
from local.parts import Parts
from local.processes import _descendants
from local.service import Service
from local.site import Site
from local.sources import PROJECT
from provision import secrets
from provision.databases import at
from provision.direct import open_directly
from tests.service.facts import account_with
from tests.service.probe import Probe
from tests.service.sites import fresh, until, value

LINES_A_SECOND_MAX = 12
STOP_S_MAX = 10.0
BALANCE = "SELECT balance FROM accounts WHERE account_id = :a"
END_THE_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"


@pytest.fixture(scope="module")
def own_parts() -> Iterator[Parts]:
    """A broker and a cluster that nobody else misses."""
    with throwaway_parts(secrets.ensure(PROJECT / ".env")) as started:
        yield started


@pytest.fixture(scope="module")
def site(own_parts: Parts) -> Site:
    """A site on them."""
    return fresh(own_parts)


@pytest.fixture
async def service(site: Site) -> AsyncIterator[Service]:
    """The user service as a process of its own."""
    made = site.service("user_service")
    made.start()
    yield made
    made.kill()


async def test_the_database_goes_away_and_comes_back(own_parts: Parts, site: Site, service: Service) -> None:
    async with Probe.at(site) as probe:
        account = await account_with(probe, 1)
        before = await _credit(probe, account, 20)
        own_parts.postgres.kill()
        async with _not_spinning(service):
            during = await _credit(probe, account, 20)
            await until(lambda: _problem(service, "database"), "the health page tells of the database")
            assert "database_up 0.0" in await _metrics(service)
            late = site.service("user_service", 2)
            late.start(wait=False)
            await asyncio.to_thread(own_parts.postgres.start)
            await asyncio.to_thread(service.wait_healthy)
        try:
            await asyncio.to_thread(late.wait_healthy)
            for each in (*before, *during):
                await probe.hear(CoinsCredited, each)
            await probe.fence("user_service")
            assert not probe.parked("user_service.dead")
            assert await value(site, "user_service", BALANCE, a=account) == 41
        finally:
            late.kill()


async def test_a_database_that_takes_no_more_connections_is_waited_for(
    own_parts: Parts, site: Site, service: Service
) -> None:
    name = f"{site.prefix}user_service"
    async with Probe.at(site) as probe:
        account = await account_with(probe, 1)
        admin = await asyncpg.connect(own_parts.postgres.admin_url)
        await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
        await admin.execute(END_THE_OTHERS, name)
        async with _not_spinning(service):
            during = await _credit(probe, account, 20)
            await until(lambda: _problem(service, "database"), "the health page tells of the database")
            await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
            for each in during:
                await probe.hear(CoinsCredited, each)
        await admin.close()
        assert not probe.parked("user_service.dead")
        assert await value(site, "user_service", BALANCE, a=account) == 21


@pytest.mark.parametrize(
    ("hurt", "heal", "said"),
    [
        (
            "ALTER DATABASE {0} SET default_transaction_read_only = on",
            "ALTER DATABASE {0} RESET default_transaction_read_only",
            "read-only transaction",
        ),
        (
            "REVOKE INSERT ON inbox FROM user_service",
            "GRANT INSERT ON inbox TO user_service",
            "permission denied for table inbox",
        ),
        (
            "ALTER TABLE inbox RENAME TO elsewhere",
            "ALTER TABLE elsewhere RENAME TO inbox",
            'relation "inbox" does not exist',
        ),
        (
            "ALTER TABLE inbox RENAME parked_reason TO elsewhere",
            "ALTER TABLE inbox RENAME elsewhere TO parked_reason",
            'column "parked_reason" of relation "inbox" does not exist',
        ),
    ],
    ids=["takes no writes", "grants too little", "lacks a table", "lacks a column"],
)
async def test_a_database_that_is_not_as_it_must_be_is_waited_for(
    own_parts: Parts, site: Site, service: Service, hurt: str, heal: str, said: str
) -> None:
    name, pid = f"{site.prefix}user_service", service.process.pid
    admin = await asyncpg.connect(at(own_parts.postgres.admin_url, name))
    async with Probe.at(site) as probe:
        account = await account_with(probe, 1)
        await admin.execute(hurt.format(name))
        await admin.execute(END_THE_OTHERS, name)
        async with _not_spinning(service):
            during = await _credit(probe, account, 20)
            unreadable = f"unreadable {uuid4()}"
            await probe.publish("client", "commands", "account.credit", unreadable.encode(), SINGLE)
            await until(lambda: _problem(service, said), "the health page tells what the database says")
            await admin.execute(heal.format(name))
            await admin.execute(END_THE_OTHERS, name)
            for each in during:
                await probe.hear(CoinsCredited, each)
        await probe.park("user_service.dead", unreadable)
        assert len(probe.parked("user_service.dead")) == 1
        assert await value(site, "user_service", BALANCE, a=account) == 21
        await asyncio.to_thread(service.wait_healthy)
        assert service.process.pid == pid
    await admin.close()


async def test_the_broker_goes_away_and_comes_back(own_parts: Parts, site: Site, service: Service) -> None:
    async with Probe.at(site) as probe:
        account = await account_with(probe, 1)
        before = await _credit(probe, account, 20)
        await asyncio.to_thread(own_parts.broker.kill)
    async with _not_spinning(service):
        await until(lambda: _problem(service, "relay"), "the health page tells of the relay")
        await until(lambda: _problem(service, "consumer"), "the health page tells of the consumer")
        late = site.service("user_service", 2)
        late.start(wait=False)
        await asyncio.to_thread(own_parts.broker.start)
        await asyncio.to_thread(service.wait_healthy)
    try:
        await asyncio.to_thread(late.wait_healthy)
        async with Probe.at(site) as probe:
            after = await _credit(probe, account, 20)
            for each in after:
                await probe.hear(CoinsCredited, each)
            await probe.fence("user_service")
            assert not probe.parked("user_service.dead")
            # What was announced while nobody listened is still in the queue of the service that takes it.
            assert {str(each) for each in (*before, *after)} <= await _announced_to_promos(probe)
        assert await value(site, "user_service", BALANCE, a=account) == 41
        assert await value(site, "user_service", "SELECT count(*) FROM outbox") == 0
    finally:
        late.kill()


async def _credit(probe: Probe, account: str, times: int) -> list[UUID]:
    sent = [uuid4() for _ in range(times)]
    for each in sent:
        await probe.send(
            PromoClaimed(redemption_id=each, account_id=account, effect=Bonus(amount=1), wait_s=None, join_s=600.0)
        )
    return sent


async def _metrics(service: Service) -> str:
    def read() -> str:
        with open_directly(f"{service.url}/metrics", within_s=10) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(read)


async def _problem(service: Service, part: str) -> bool:
    """Whether /health answers 503 and names this part."""

    def read() -> bool:
        try:
            with open_directly(f"{service.url}/health", within_s=10):
                return False
        except HTTPError as error:
            with error:
                problems = json.loads(error.read())["problems"]
            return error.code == 503 and any(part in problem for problem in problems)

    return await asyncio.to_thread(read)


@asynccontextmanager
async def _not_spinning(service: Service) -> AsyncIterator[None]:
    """What the service writes while it waits is bounded."""
    began, lines = asyncio.get_running_loop().time(), _lines(service)
    yield
    lasted_s = asyncio.get_running_loop().time() - began
    assert _lines(service) - lines <= 20 + LINES_A_SECOND_MAX * lasted_s


def _lines(service: Service) -> int:
    return service.process.log.read_text().count("\n")


async def _announced_to_promos(probe: Probe) -> set[str]:
    """The sagas of all `coins.credited` that wait for the promo service."""
    found: set[str] = set()
    channel = await probe.channel("promo_service")
    queue = await channel.get_queue("promo_service", ensure=False)
    mark = str(uuid4())
    await probe.send(
        CoinsCredited(account_id="mark", operation_id=UUID(mark), asked_by="promo", kind="bonus", amount=1)
    )
    async with asyncio.timeout(30), queue.iterator(no_ack=True) as messages:
        async for message in messages:
            content = json.loads(message.body)
            found |= {each["correlationid"] for each in (content if isinstance(content, list) else [content])}
            if mark in found:
                break
    return found


@pytest.mark.parametrize("part", ["broker", "postgres"])
async def test_a_stop_does_not_wait_for_a_part_that_hangs(
    own_parts: Parts, site: Site, service: Service, part: str
) -> None:
    pid = own_parts.broker.pid if part == "broker" else own_parts.postgres.pid
    assert pid
    async with Probe.at(site) as probe:
        account = await account_with(probe, 1)
        async with _locked(site, account):
            (credit_id,) = await _credit(probe, account, 1)
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            await until(lambda: value(site, "user_service", waits), "the service is in its transaction")
        _signal_family(pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            code = await asyncio.to_thread(service.stop)
        finally:
            _signal_family(pid, signal.SIGCONT)
        assert code == 0, service.process.tail(60)
        assert time.monotonic() - began < STOP_S_MAX
    again = site.service("user_service", 3)
    again.start()
    try:
        held = "SELECT balance FROM accounts WHERE account_id = :a"
        await until(lambda: value(site, "user_service", f"SELECT ({held}) = 2", a=account), "the credit counts")
        assert credit_id
    finally:
        again.kill()


@asynccontextmanager
async def _locked(site: Site, account: str) -> AsyncIterator[None]:
    """The account's row is somebody else's for a while."""
    holder = await asyncpg.connect(site.database_url("user_service", "user_service_owner"))
    async with holder.transaction():
        await holder.execute("SELECT 1 FROM accounts WHERE account_id = $1 FOR UPDATE", account)
        yield
    await holder.close()


def _signal_family(pid: int, number: signal.Signals) -> None:
    for each in (pid, *_descendants(pid)):
        with suppress(ProcessLookupError):  # a backend may end meanwhile
            os.kill(each, number)
