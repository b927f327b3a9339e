"""A real broker and a real cluster, provisioned twice, hold to the permissions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aio_pika
import asyncpg
import pytest
from aio_pika.exceptions import ProbableAuthenticationError
from aiormq.exceptions import ChannelAccessRefused
from pamqp.commands import Basic

from contracts.topology import SHOP
from local.parts import Parts
from local.site import Site
from provision import broker
from provision.databases import owner


@pytest.fixture(scope="module")
def site(parts: Parts) -> Iterator[Site]:
    fresh = parts.fresh_site("perm")
    fresh.provision()
    fresh.provision()
    yield fresh
    fresh.drop()


async def publish(url: str, exchange: str, key: str) -> object:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(on_return_raises=False)
        target = await channel.get_exchange(exchange, ensure=False)
        return await target.publish(aio_pika.Message(b"{}"), key, mandatory=False, timeout=10)


async def bind(url: str, exchange: str, key: str, queue: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        mine = await channel.declare_queue(queue, exclusive=True)
        await mine.bind(exchange, key, timeout=10)


async def consume(url: str, queue: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        target = await channel.get_queue(queue, ensure=False)
        await target.get(fail=False, timeout=10)


@pytest.mark.parametrize(
    ("user", "exchange", "key"),
    [
        ("client", "commands", "account.open"),
        ("client", "queries", "account.show"),
        ("operator", "commands", "fulfilment.accepted"),
        ("operator", "commands", "order.place"),
        ("operator", "replay", "user_service"),
        ("user_service", "user", "coins.reserved"),
        ("user_service", "dead", "user_service"),
        ("user_service", "replies", "reply.client.1"),
    ],
)
async def test_may_publish(site: Site, user: str, exchange: str, key: str) -> None:
    assert isinstance(await publish(site.amqp_url(user), exchange, key), Basic.Ack)


@pytest.mark.parametrize(
    ("user", "exchange", "key"),
    [
        ("client", "commands", "catalog.put"),
        ("client", "commands", "fulfilment.accepted"),
        ("client", "commands", "account.openx"),
        ("client", "user", "coins.reserved"),
        ("client", "replies", "reply.client.1"),
        ("client", "replay", "user_service"),
        ("operator", "user", "coins.reserved"),
        ("operator", "dead", "user_service"),
        ("user_service", "order", "order.placed"),
        ("user_service", "commands", "account.open"),
        ("user_service", "dead", "order_service"),
        ("order_service", "user", "coins.reserved"),
    ],
)
async def test_may_not_publish(site: Site, user: str, exchange: str, key: str) -> None:
    with pytest.raises(ChannelAccessRefused):
        await publish(site.amqp_url(user), exchange, key)


async def test_a_client_gets_its_own_answers_only(site: Site) -> None:
    url = site.amqp_url("client")
    await bind(url, "replies", "reply.client.1", "reply.client.1")
    for exchange, key, queue in (
        ("replies", "reply.operator.1", "reply.client.1"),
        ("replies", "#", "reply.client.1"),
        ("user", "#", "reply.client.1"),
        ("replies", "reply.client.1", "reply.operator.1"),
    ):
        with pytest.raises(ChannelAccessRefused):
            await bind(url, exchange, key, queue)


async def test_a_client_cannot_take_what_is_for_a_service(site: Site) -> None:
    for queue in ("user_service", "user_service.dead", "user_service.queries", "unrouted.dead"):
        with pytest.raises(ChannelAccessRefused):
            await consume(site.amqp_url("client"), queue)


async def test_an_operator_watches_everything_and_reads_dead_letters(site: Site) -> None:
    url = site.amqp_url("operator")
    for exchange in SHOP.publishers:
        await bind(url, exchange, "#", "tap.operator.1")
    await consume(url, "order_service.dead")
    with pytest.raises(ChannelAccessRefused):
        await consume(url, "order_service")


async def test_a_command_that_no_service_takes_is_kept(site: Site, parts: Parts) -> None:
    async with await aio_pika.connect(_admin_url(site, parts)) as connection:
        channel = await connection.channel()
        commands = await channel.get_exchange("commands", ensure=False)
        await commands.publish(aio_pika.Message(b"lost?"), "nobody.takes.this", mandatory=True)
        async with asyncio.timeout(10):
            kept = await (await channel.get_queue("unrouted.dead")).get()
        assert kept.body == b"lost?"
        await kept.ack()


def _admin_url(site: Site, parts: Parts) -> str:
    management = parts.broker.management
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    management.call("PUT", "permissions", site.vhost, management.user, body=everything)
    login = parts.broker.management_url.partition("//")[2].rpartition("@")[0]
    return f"amqp://{login}@{parts.broker.address}/{site.vhost}"


async def test_nobody_is_called_guest(site: Site, parts: Parts) -> None:
    assert "guest" not in {user["name"] for user in parts.broker.management.call("GET", "users")}
    with pytest.raises(ProbableAuthenticationError):
        await aio_pika.connect(f"amqp://guest:guest@{parts.broker.address}/{site.vhost}")


async def test_another_client_has_a_password_and_answers_of_its_own(site: Site, parts: Parts) -> None:
    name = f"shop-{site.vhost.rpartition('_')[2]}"
    password = broker.add_client(parts.broker.management, site.vhost, name)
    url = f"amqp://{name}:{password}@{parts.broker.address}/{site.vhost}"
    await publish(url, "commands", "account.open")
    await bind(url, "replies", f"reply.{name}.1", f"reply.{name}.1")
    with pytest.raises(ChannelAccessRefused):
        await bind(url, "replies", "reply.client.1", f"reply.{name}.1")
    for taken in (name, "client", "user_service", "Not a name"):
        with pytest.raises(ValueError, match=r"exists already|a client's name"):
            broker.add_client(parts.broker.management, site.vhost, taken)
    parts.broker.management.call("DELETE", "users", name)


async def test_a_binding_that_the_topology_no_longer_has_is_removed(site: Site, parts: Parts) -> None:
    path = ("bindings", site.vhost, "e", "user", "q", "promo_service")
    parts.broker.management.call("POST", *path, body={"routing_key": "coins.gone"})
    site.provision()
    rows = parts.broker.management.call("GET", *path)
    assert "coins.gone" not in {row["routing_key"] for row in rows}


async def test_a_service_reaches_its_own_database_and_only_its_data(site: Site) -> None:
    maker = await asyncpg.connect(site.database_url("user_service", owner("user_service")))
    await maker.execute("CREATE TABLE IF NOT EXISTS thing (id bigserial PRIMARY KEY, coins int)")
    await maker.close()
    worker = await asyncpg.connect(site.database_url("user_service"))
    assert await worker.fetchval("INSERT INTO thing (coins) VALUES (1) RETURNING id")
    for forbidden in (
        "DROP TABLE thing",
        "CREATE TABLE other (id int)",
        "TRUNCATE thing",
        "CREATE TEMP TABLE t (i int)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await worker.execute(forbidden)
    await worker.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(site.database_url("user_service", "order_service"))


async def test_the_auditor_reads_everything_and_changes_nothing(site: Site) -> None:
    maker = await asyncpg.connect(site.database_url("promo_service", owner("promo_service")))
    await maker.execute("CREATE TABLE IF NOT EXISTS thing (id bigserial PRIMARY KEY)")
    await maker.close()
    auditor = await asyncpg.connect(site.database_url("promo_service", "auditor"))
    assert await auditor.fetch("SELECT * FROM thing") == []
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await auditor.execute("INSERT INTO thing DEFAULT VALUES")
    await auditor.execute("SET default_transaction_read_only = off")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await auditor.execute("INSERT INTO thing DEFAULT VALUES")
    await auditor.close()
