"""SIGTERM: what is at hand is finished and announced, the rest stays with the broker, and the exit code is 0."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from contracts.commands import CreditAccount, OpenAccount
from contracts.events import CoinsCredited
from contracts.topology import SERVICES
from local.parts import Parts
from local.site import Site
from tests.service.probe import Probe
from tests.service.sites import rows, running, value

STOP_S_MAX = 10.0
CREDITS = 300


async def test_nothing_in_flight_is_lost(site: Site, probe: Probe) -> None:
    service = site.service("user_service")
    service.start()
    try:
        account, credits_ = str(uuid4()), [uuid4() for _ in range(CREDITS)]
        await probe.send(OpenAccount(account_id=account))
        for each in credits_:
            await probe.send(CreditAccount(credit_id=each, account_id=account, amount=1))
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < STOP_S_MAX
    finally:
        service.kill()
    left = await value(site, "user_service", "SELECT count(*) FROM outbox")
    assert left == 0
    async with running(site, "user_service"):
        for each in credits_:
            await probe.hear(CoinsCredited, each)
        await probe.fence("user_service")
    assert len(probe.announced(CoinsCredited)) == CREDITS
    lines = await rows(site, "user_service", "SELECT 1 FROM ledger WHERE account_id = :a", a=account)
    assert len(lines) == CREDITS


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_stops_at_once_when_it_is_idle(site: Site, name: str) -> None:
    service = site.service(name, 7)
    service.start()
    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < STOP_S_MAX


def test_a_service_whose_database_is_gone_stops_too(parts: Parts, site: Site) -> None:
    gone = site.database_url("user_service").replace(parts.postgres.address, "127.0.0.1:1")
    service = site.service(
        "user_service", 8, USER_SERVICE_DATABASE_URL=gone, USER_SERVICE_AMQP_URL="amqp://a:b@127.0.0.1:1"
    )
    service.start(wait=False)
    try:
        while not service.process.log.exists() or "waiting" not in service.process.log.read_text():
            time.sleep(0.05)
        assert not service.healthy()
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < STOP_S_MAX
    finally:
        service.kill()
