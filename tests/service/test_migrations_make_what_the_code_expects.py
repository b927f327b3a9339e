"""Up, equal to the metadata, down to nothing, and up again; and what the database itself refuses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.commands import PlaceOrder, PutItem, PutPromo, RedeemPromo
from contracts.events import (
    CoinsMultiplied,
    CoinsReserved,
    OrderConfirmed,
    OrderPlaced,
    PromoClaimed,
    PromoRedeemed,
)
from contracts.roles import Multiply
from contracts.services import PARTICIPANTS, participant
from holdfast.delivery.database import asyncpg_url
from holdfast.delivery.migrations import main, migrate
from holdfast.delivery.words import Service
from local.site import Site
from tests.service.facts import account_with, placed, reserved
from tests.service.kept import SAMPLES, Sample
from tests.service.probe import Probe
from tests.service.sites import rows, running, value
from user_service.settings import Migration

METADATA: dict[Service, MetaData] = {
    each.service: import_module(f"{each.module}.tables").metadata for each in PARTICIPANTS
}
PREPARED = 8
"""After some uses PostgreSQL keeps a plan, whose result is then fixed."""
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"

FUNCTIONS = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"


@pytest.mark.parametrize("service", METADATA)
async def test_up_down_and_up_again(site: Site, service: Service) -> None:
    (url,), folder = site.migration_env(service).values(), participant(service).folder
    assert await _differences(url, METADATA[service]) == []
    with ThreadPoolExecutor(1) as thread:
        thread.submit(migrate, folder, url, "base").result()
        assert await value(site, service, TABLES) == 0
        assert await value(site, service, FUNCTIONS) == 0
        thread.submit(migrate, folder, url).result()
        thread.submit(migrate, folder, url).result()
    assert await _differences(url, METADATA[service]) == []


@pytest.mark.parametrize("service", ["user_service", "order_service", "promo_service"])
@pytest.mark.parametrize("change", ["ADD COLUMN later integer", "DROP COLUMN later"])
async def test_a_column_that_comes_or_goes_while_a_service_works_parks_nothing(
    site: Site, probe: Probe, service: Service, change: str
) -> None:
    """Statements that are prepared already are told that their result has changed."""
    tables = [table for table in METADATA[service].tables if table != "alembic_version"]
    async with running(site, service):
        names = [await _work(probe, service) for _ in range(PREPARED)]
        for table in tables:
            await rows(site, service, f"ALTER TABLE {table} {change}")
            names.append(await _work(probe, service))
        await probe.fence(service)
    assert not [parked for name in names for parked in probe.parked(f"{service}.dead", name)]


async def _work(probe: Probe, service: Service) -> str:
    """One message after the other, each alone in its batch and for every kind of row; returns a name in all of them."""
    name, saga = str(uuid4()), uuid4()
    match service:
        case "user_service":
            name = await account_with(probe, 1)
            await probe.send(placed(name, saga, 1))
            await probe.hear(CoinsReserved, saga)
        case "order_service":
            await probe.send(PutItem(item=name, price=1, stock=1, fulfilment="instant"))
            await probe.send(PlaceOrder(order_id=saga, account_id=name, item=name))
            await probe.hear(OrderPlaced, saga)
            await probe.send(reserved(name, saga, 1))
            await probe.hear(OrderConfirmed, saga)
        case "promo_service":
            await probe.send(PutPromo(code=name, effect=Multiply(factor=2)))
            await probe.send(RedeemPromo(redemption_id=saga, account_id=name, code=name))
            await probe.hear(PromoClaimed, saga)
            await probe.send(CoinsMultiplied(account_id=name, operation_id=saga, asked_by="promo", factor=2, added=1))
            await probe.hear(PromoRedeemed, saga)
    return name


@pytest.mark.parametrize("wrong", ["port", "password", "database"])
def test_a_database_that_is_not_there_is_said_in_one_line(
    site: Site, wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ((variable, url),) = site.migration_env("user_service").items()
    parts = urlsplit(url)
    changed = {
        "port": url.replace(f":{parts.port}/", ":1/"),
        "password": url.replace(f":{parts.password}@", ":wrong@"),
        "database": url + "_missing",
    }
    monkeypatch.setenv(variable, changed[wrong])
    with ThreadPoolExecutor(1) as thread, pytest.raises(SystemExit, match=f"user_service.migrate: .*check {variable}$"):
        thread.submit(main, participant("user_service").folder, Migration).result()


@SAMPLES
@pytest.mark.parametrize("change", ["UPDATE ledger SET reason = 'x'", "DELETE FROM ledger", "TRUNCATE ledger"])
async def test_the_ledger_is_only_added_to(site: Site, of: Sample, change: str) -> None:
    key, state = of.tables.key, of.tables.state
    line = (
        f"INSERT INTO ledger ({key}, seq, operation_id, kind, size, state, asked_by, cause, {state}_before,"
        f" {state}_after) VALUES ('{uuid4()}', 1, '{uuid4()}', 'credit', 1, 'credited', 'commands', 'test', 0, 1)"
    )
    await rows(site, of.service, line)
    with pytest.raises(DBAPIError, match="the ledger is only added to"):
        await rows(site, of.service, change)


@SAMPLES
async def test_the_database_refuses_a_state_below_zero(site: Site, of: Sample) -> None:
    columns = f"{of.tables.key}, {of.tables.state}, places, lines, stamp"
    row = f"INSERT INTO {of.tables.entities.name} ({columns}) VALUES ('k', -1, 0, 0, 0)"
    with pytest.raises(DBAPIError, match="check constraint"):
        await rows(site, of.service, row)


async def _differences(url: str, metadata: MetaData) -> list[object]:
    engine = create_async_engine(asyncpg_url(url))
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            return list(
                await connection.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), metadata))
            )
    finally:
        await engine.dispose()
