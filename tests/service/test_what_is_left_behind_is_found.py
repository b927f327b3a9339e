"""What delivery looks for by itself, however much it is: what a crash left, what is due, what may be forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

import holdfast.delivery.database
import holdfast.delivery.relay
from client import audit
from contracts.commands import OpenAccount
from contracts.events import AccountOpened
from holdfast.delivery import inbox, outbox
from holdfast.delivery.checkpoints import Checkpoint
from holdfast.delivery.message import Announcement, Message
from local.site import Site
from tests.service.probe import Probe
from tests.service.sites import make, rows, running, until, value
from user_service.store import keeper

LEAVE = (
    "INSERT INTO outbox (id, created_at, exchange, routing_key, content_type, headers, body)"
    " VALUES (:id, clock_timestamp() + make_interval(secs => :in_s), 'user', 'account.opened', :content_type,"
    " '{\"terminal\": \"true\"}', '[]')"
)
LEFT = "SELECT count(*) FROM outbox"
OVERDUE = (
    "INSERT INTO operations (account_id, operation_id, pending, place, kind, size, state, after, settle_by, deadline,"
    " answer, asked_by, cause)"
    " SELECT :a, gen_random_uuid(), true, n, 'reserve', 1, 'reserved', '{}', at, at, 1, 'order', 'test'"
    " FROM generate_series(1, :n) AS n, LATERAL (SELECT now() - make_interval(secs => :ago_s + :apart * n)) AS due (at)"
)
"""`n` reservations of account `a` whose deadline passed `ago_s` seconds ago, `apart` seconds between two."""


async def test_rows_of_a_time_that_has_not_come_are_found_by_the_first_sweep(site: Site) -> None:
    """The database's clock was set back after the process died."""
    instance = make(site, "user_service")
    await rows(site, "user_service", LEAVE, id=(row := uuid4()), in_s=3600, content_type="x")
    async with instance.engine.begin() as connection:
        tables = instance.domain.tables
        assert not await outbox.left_behind(connection, tables, 5.0, None, (), 10)
        found = await outbox.left_behind(connection, tables, 0.0, None, (), 10)
        assert [each.message.id for each in found] == [row]
        await outbox.forget(connection, [row])
    await instance.engine.dispose()


async def test_a_broker_that_confirms_late_is_waited_for(
    site: Site, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than a transaction may stand still. What is swept is published once."""
    monkeypatch.setattr(holdfast.delivery.database, "IDLE_S_MAX", 0.2)
    swept = 0

    async def late(checkpoint: Checkpoint) -> None:
        nonlocal swept
        if checkpoint == "after publish":
            swept += 1
            await asyncio.sleep(1.0)  # the broker takes its time

    await rows(site, "user_service", LEAVE, id=uuid4(), in_s=-60, content_type="application/json")
    with capture_logs() as logs:
        async with running(site, "user_service", late):
            await until(lambda: _is(site, LEFT, 0), "the outbox is empty")
    assert swept == 1
    assert not [line for line in logs if line["event"] == "sweep waits"]


async def test_a_broker_that_confirms_nothing_is_told_on_the_health_page(
    site: Site, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdfast.delivery.relay, "SWEEP_S", 0.2)
    publish, silent = holdfast.delivery.relay.Relay._publish_one, True

    async def unconfirmed(self: Any, channel: Any, message: Any) -> None:
        if silent:
            raise TimeoutError
        await publish(self, channel, message)

    monkeypatch.setattr(holdfast.delivery.relay.Relay, "_publish_one", unconfirmed)
    async with running(site, "user_service") as instance:

        async def told() -> bool:
            return any("does not confirm" in problem for problem in await instance.problems())

        async def healthy() -> bool:
            return not await instance.problems()

        await probe.send(OpenAccount(account_id=(account := str(uuid4()))))
        await until(told, "the health page tells of it")
        silent = False
        await probe.hear(AccountOpened, account)
        await until(healthy, "nothing is wrong any more")


async def test_a_message_that_does_not_fit_holds_up_no_other(
    site: Site, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdfast.delivery.relay, "SWEEP_S", 0.2)
    await rows(site, "user_service", LEAVE, id=(row := uuid4()), in_s=-60, content_type="x" * 300)
    async with running(site, "user_service") as instance:

        async def told() -> bool:
            return any("does not fit" in problem for problem in await instance.problems())

        await until(told, "the health page tells of it")
        connection = instance.relay._connection
        await probe.send(OpenAccount(account_id=(account := str(uuid4()))))
        await probe.hear(AccountOpened, account)
        assert instance.relay._connection is connection
    await rows(site, "user_service", "DELETE FROM outbox WHERE id = :id", id=row)


async def test_the_audit_tells_what_nobody_publishes(site: Site) -> None:
    url = site.client_env()["HOLDFAST_AUDIT_DATABASE_URL"]
    for age_s in (-120, -90, -30):
        await rows(site, "user_service", LEAVE, id=uuid4(), in_s=age_s, content_type="application/json")
    (left,) = (await audit.read(url)).left
    assert (left.service, left.messages) == ("user_service", 2)
    assert left.oldest_at == await value(site, "user_service", "SELECT min(created_at) FROM outbox")
    assert str((await audit.audit(url)).findings[0]).startswith("user_service: outbox, 60 s after the commit")
    await rows(site, "user_service", "DELETE FROM outbox")
    assert not (await audit.audit(url)).findings


async def test_the_clock_looks_at_accounts_however_many_deadlines_one_has(site: Site) -> None:
    crowd, others = f"a-{uuid4()}", [f"b-{uuid4()}" for _ in range(2)]
    for account, reservations, ago_s in ((crowd, 50, 3), (others[0], 1, 2), (others[1], 1, 1)):
        await rows(site, "user_service", OVERDUE, a=account, n=reservations, ago_s=ago_s, apart=0)
    instance = make(site, "user_service")
    async with instance.engine.connect() as connection:
        assert await keeper().due(connection, 52) == [crowd, *others]
    assert await instance.work.handle_due()
    async with instance.engine.connect() as connection:
        assert await keeper().due(connection, 52) == []
    await instance.engine.dispose()


async def test_crowds_that_are_due_at_once_stop_nothing_else(site: Site) -> None:
    """As many accounts as have some hundred deadlines are looked at together, and the loop goes on between them."""
    accounts = [f"c-{number}-{uuid4()}" for number in range(4)]
    for number, account in enumerate(accounts):
        await rows(site, "user_service", OVERDUE, a=account, n=200, ago_s=1000 * (4 - number), apart=1)
    instance, turns = make(site, "user_service"), 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with instance.engine.connect() as connection:
        assert await keeper().due(connection, 1) == accounts[:1]
        assert await keeper().due(connection, 400) == accounts[:2]
        assert await keeper().due(connection, 500) == accounts[:2]
    other, before = asyncio.create_task(turn()), []
    handle = instance.domain.handlers.handle

    def watched(state: Any, message: Message, now: datetime) -> Sequence[Announcement]:
        before.append(turns)
        return handle(state, message, now)

    with patch.object(instance.domain.handlers, "handle", watched):
        assert await instance.work.handle_due()
    other.cancel()
    assert len(before) == 2
    assert before[0] < before[1]
    await instance.engine.dispose()


async def test_what_is_old_is_forgotten_some_at_a_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "FORGET_MAX", 2)
    old = "INSERT INTO inbox (message_id, handled_at) SELECT gen_random_uuid(), clock_timestamp() - interval '1 year'"
    await rows(site, "user_service", f"{old} FROM generate_series(1, 5)")
    instance = make(site, "user_service")
    assert [await instance._forget_some() for _ in range(4)] == [2, 2, 1, 0]
    await instance.engine.dispose()


async def _is(site: Site, query: str, wanted: object) -> bool:
    return bool(await value(site, "user_service", query) == wanted)
