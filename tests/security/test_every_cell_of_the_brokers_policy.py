"""Every user tries everything with every exchange, routing key and queue; what docs/security.md grants works, and
nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest
from aiormq.abc import AbstractChannel
from pamqp.common import FieldValue

from contracts import topology
from contracts.topology import SHOP
from holdfast.delivery.queries import EVERY_SERVICE_QUERIES
from local.parts import Parts
from local.site import Site
from tests.evidence import record
from tests.security.logins import DONE, REFUSED, Attempt, Login, all_powerful, another_client, login
from tests.security.policy import BROKER, SERVICES, Policy, read

OURS = ("commands", *SHOP.exchanges.values(), "dead", "replay", "queries", "replies", "unrouted")
EXCHANGES = (*OURS, "", "amq.topic", "amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.rabbitmq.trace")
OF_SERVICES = [f"{name}{tail}" for name in SERVICES for tail in ("", ".dead", ".queries")] + ["unrouted.dead"]
QUEUE_ACTIONS = ("declare", "bind", "consume", "purge", "delete")
"""In this order, so that a queue is there while it is tried. `consume` is tried by taking one message, and by
subscribing; `bind` by unbinding too."""
Cell = tuple[str, str, str, str | None]


@asynccontextmanager
async def everybody(site: Site, parts: Parts) -> AsyncIterator[list[Login]]:
    """A login of each user: the services, the operator, and two clients."""
    async with AsyncExitStack() as stack:
        shop, url = await stack.enter_async_context(another_client(site, parts))
        urls = {name: site.amqp_url(name) for name in (*SERVICES, "client", "operator")} | {shop: url}
        yield [await stack.enter_async_context(login(url, name)) for name, url in urls.items()]


def keys(users: list[str], exchange: str = "commands") -> list[str]:
    """Every routing key that means something here, and some that are meant to get around a rule."""
    types = list(topology.FACTS)
    questions = list(topology.QUERIES)
    questions += [f"{service}.{name}" for service in SERVICES for name in EVERY_SERVICE_QUERIES]
    replies = [f"reply.{user}.1" for user in users] + [f"reply.{user}.#" for user in users]
    replies += ["reply.client", "reply.clientele.1", "reply.#", "reply.*.1", "xreply.client.1", "reply"]
    newer = [
        "account.open.v2",
        "promo.redeem.v13",
        "catalog.put.v2",
        "promo.put.v2",
        "account.open.v",
        "order.place.v2x",
    ]
    odd = ["", "#", "*", "account.#", "#.open", "xaccount.open", "account.openx", "accountXopen", "Account.Open"]
    meant = [*types, *questions, *newer] if exchange in OURS else []
    return list(dict.fromkeys([*meant, *OF_SERVICES, *replies, *odd]))


def queues(users: list[str]) -> list[str]:
    """Every queue there is, own ones of each user, and some whose names come close to another's."""
    own = [f"{kind}.{user}.1" for kind in ("reply", "tap") for user in users]
    near = [
        "mine",
        "reply.client",
        "xreply.client.1",
        "reply.client.dead",
        "user_service.dead.1",
        "user_serviceXqueries",
    ]
    return [*OF_SERVICES, *own, *near]


def own_queue(user: str) -> str:
    """A queue that the user binds, if it may bind any."""
    return user if user in SERVICES else f"{'tap' if user == 'operator' else 'reply'}.{user}.1"


def topic_cells(user: str, users: list[str]) -> list[tuple[Cell, Attempt]]:
    """Publishing to every exchange with every key, and binding from it and unbinding."""
    found: list[tuple[Cell, Attempt]] = []
    for exchange in EXCHANGES:
        for key in keys(users, exchange):
            publish = partial(_publish, exchange=exchange, key=key)
            binds = [partial(do, queue=own_queue(user), exchange=exchange, key=key) for do in (_bind, _unbind)]
            found.append((("publish", "exchange", exchange, key), publish))
            found += [(("bind from", "exchange", exchange, key), bind) for bind in binds]
    return found


def dead_letter_cells(user: str) -> list[tuple[Cell, Attempt]]:
    """Declaring a queue of one's own that dead-letters to every exchange, under the messages' own keys or another."""
    found: list[tuple[Cell, Attempt]] = []
    for exchange in (*EXCHANGES, "mine"):
        for number, key in enumerate(("", "catalog.put", "#")):
            away: dict[str, FieldValue] = {"x-dead-letter-exchange": exchange}
            away |= {"x-dead-letter-routing-key": key} if key else {}
            declare = partial(_declare_away, queue=f"{own_queue(user)}.{exchange}.{number}", away=away)
            found.append((("dead-letter to", "exchange", exchange, None), declare))
    return found


def queue_cells(user: str, users: list[str]) -> list[tuple[Cell, Attempt]]:
    """Doing everything with every queue."""
    source = ("user", "#") if user == "operator" else ("replies", f"reply.{user}.1")
    attempts: dict[str, Any] = {
        "declare": [_declare],
        "bind": [partial(do, exchange=source[0], key=source[1]) for do in (_bind, _unbind)],
        "consume": [_subscribe, _take_one],
        "purge": [_purge],
        "delete": [_delete],
    }
    return [
        ((action, "queue", queue, None), partial(attempt, queue=queue))
        for queue in queues(users)
        for action in QUEUE_ACTIONS
        for attempt in attempts[action]
        # Even who may cannot take single messages from a queue with a single active consumer.
        if not (attempt is _take_one and queue == user)
    ]


def exchange_cells(user: str) -> list[tuple[Cell, Attempt]]:
    """Declaring and deleting every exchange, and some whose names come close to those of the user's own queues."""
    found: list[tuple[Cell, Attempt]] = []
    for exchange in (*EXCHANGES, "mine", user, f"reply.{user}", f"reply.{user}.own", f"tap.{user}.own", f"{user}.own"):
        found.append((("declare", "exchange", exchange, None), partial(_declare_exchange, exchange=exchange)))
        found.append((("delete", "exchange", exchange, None), partial(_delete_exchange, exchange=exchange)))
    return found


async def test_every_exchange_and_queue_there_is_was_tried(site: Site, parts: Parts) -> None:
    """What is added to the topology is in the table of this test as well."""
    management = parts.broker.management
    there = {row["name"] for row in management.call("GET", "exchanges", site.vhost)}
    assert there == set(EXCHANGES)
    assert {row["name"] for row in management.call("GET", "queues", site.vhost)} == set(OF_SERVICES)


@pytest.mark.timeout(400)
async def test_every_cell(site: Site, parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    async with everybody(site, parts) as logins:
        users = [each.user for each in logins]
        clients = tuple(user for user in users if user not in (*SERVICES, "operator"))
        policy = read(BROKER, clients)
        assert policy.actions() == {"publish", "bind from", "dead-letter to", *QUEUE_ACTIONS}
        async with all_powerful(site, parts) as channel:
            for queue in queues(users):
                if queue not in OF_SERVICES:
                    await channel.queue_declare(queue, durable=True)
            tried = await asyncio.gather(*(_try_all(policy, each, users) for each in logins))
            await _remove(channel, queues(users))
    with capsys.disabled():
        record("permission cells of the broker, as in the policy", f"{sum(tried)} by {len(logins)} users")


async def test_messages_are_forwarded_only_from_where_a_user_may_listen_to_where_it_may_publish(
    site: Site, parts: Parts
) -> None:
    async with everybody(site, parts) as logins:
        users = [each.user for each in logins]
        policy = read(BROKER, tuple(user for user in users if user not in (*SERVICES, "operator")))
        for each in logins:
            some = (*OURS, "amq.topic")
            cells = [(a, b, key) for a in some for b in some for key in ("#", f"reply.{each.user}.1")]
            said = await each.attempts([partial(_forward, source=a, target=b, key=key) for a, b, key in cells])
            for (source, target, key), came in zip(cells, said, strict=True):
                heard = policy.grants(each.user, "bind from", "exchange", source, key)
                told = any(policy.grants(each.user, "publish", "exchange", target, key) for key in keys(users))
                assert came == (DONE if heard and told else REFUSED), (each.user, source, target, key, came)
    assert await asyncio.to_thread(_forwards, site, parts)
    await asyncio.to_thread(site.provision)
    assert not await asyncio.to_thread(_forwards, site, parts)


async def _try_all(policy: Policy, each: Login, users: list[str]) -> int:
    """The number of cells; raises with those that came out otherwise than the policy says."""
    cells = topic_cells(each.user, users) + exchange_cells(each.user) + dead_letter_cells(each.user)
    said = await each.attempts([attempt for _, attempt in cells])
    ordered = queue_cells(each.user, users)
    said += [await each.attempt(attempt) for _, attempt in ordered]
    wrong = []
    for (cell, _), came in zip(cells + ordered, said, strict=True):
        wanted = DONE if policy.grants(each.user, *cell) else REFUSED
        if came != wanted:
            wrong.append(f"{each.user} {' '.join(map(str, cell))}: {wanted} by the policy, but {came}")
    assert not wrong, "\n".join([f"{len(wrong)} cells", *wrong[:40]])
    return len(said)


async def _publish(channel: AbstractChannel, exchange: str, key: str) -> None:
    await channel.basic_publish(b"{}", exchange=exchange, routing_key=key)


async def _bind(channel: AbstractChannel, queue: str, exchange: str, key: str) -> None:
    await channel.queue_bind(queue, exchange, key)


async def _unbind(channel: AbstractChannel, queue: str, exchange: str, key: str) -> None:
    await channel.queue_unbind(queue, exchange, key)


async def _declare(channel: AbstractChannel, queue: str) -> None:
    await channel.queue_declare(queue, durable=True)


async def _declare_away(channel: AbstractChannel, queue: str, away: dict[str, FieldValue]) -> None:
    await channel.queue_declare(queue, exclusive=True, arguments=away)
    await channel.queue_delete(queue)


async def _take_one(channel: AbstractChannel, queue: str) -> None:
    await channel.basic_get(queue, no_ack=True)


async def _subscribe(channel: AbstractChannel, queue: str) -> None:
    async def forget(_: object) -> None:
        return

    subscribed = await channel.basic_consume(queue, forget, no_ack=True)
    await channel.basic_cancel(subscribed.consumer_tag or "")


async def _purge(channel: AbstractChannel, queue: str) -> None:
    await channel.queue_purge(queue)


async def _delete(channel: AbstractChannel, queue: str) -> None:
    await channel.queue_delete(queue)


async def _forward(channel: AbstractChannel, source: str, target: str, key: str) -> None:
    await channel.exchange_bind(target, source, routing_key=key)


def _forwards(site: Site, parts: Parts) -> list[Any]:
    """The bindings between exchanges."""
    rows = parts.broker.management.call("GET", "bindings", site.vhost)
    return [row for row in rows if row["destination_type"] == "exchange"]


async def _declare_exchange(channel: AbstractChannel, exchange: str) -> None:
    await channel.exchange_declare(exchange, exchange_type="topic", durable=True)


async def _delete_exchange(channel: AbstractChannel, exchange: str) -> None:
    await channel.exchange_delete(exchange)


async def _remove(channel: AbstractChannel, names: list[str]) -> None:
    for name in names:
        if name not in OF_SERVICES:
            await channel.queue_delete(name)
