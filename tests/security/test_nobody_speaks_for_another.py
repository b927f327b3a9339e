"""What RabbitMQ's permissions alone would let through: forged senders, second routing keys, forged origins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from uuid import uuid4

import aiormq
import pytest
from aiormq.abc import AbstractChannel
from pamqp.commands import Basic
from pamqp.common import FieldValue

from client import dead
from client.connection import Connection
from contracts.commands import PutItem
from contracts.events import CoinsCredited
from contracts.queries import ListCatalog, ShowAccount
from holdfast.delivery.envelope import SINGLE
from local.parts import Parts
from local.site import Site
from tests.security.logins import DONE, REFUSED, another_client, login
from tests.service.probe import Probe, envelope
from tests.service.sites import running, until

MAY_PUBLISH = {
    "user_service": ("user", "coins.credited"),
    "order_service": ("order", "order.placed"),
    "promo_service": ("promo", "promo.claimed"),
    "client": ("commands", "account.open"),
    "operator": ("commands", "catalog.put"),
}
AWAY: dict[str, FieldValue] = {
    "x-message-ttl": 0,
    "x-dead-letter-exchange": "commands",
    "x-dead-letter-routing-key": "catalog.put",
}
"""Arguments of a queue that sends on whatever it gets."""


@pytest.fixture
async def operator(site: Site) -> AsyncIterator[Connection]:
    connection = Connection(site.amqp_url("operator"), "test")
    yield connection
    await connection.close()


def goods() -> tuple[str, bytes]:
    """A command that only an operator may send, and the item it would make."""
    item = f"item-{uuid4()}"
    fact = PutItem(item=item, price=1, stock=1, fulfilment="instant")
    return item, envelope(fact).model_dump_json().encode()


async def publish(channel: AbstractChannel, exchange: str, key: str, body: bytes = b"{}", **properties: Any) -> None:
    content = Basic.Properties(content_type=SINGLE, delivery_mode=2, **properties)
    await channel.basic_publish(body, exchange=exchange, routing_key=key, properties=content)


@pytest.mark.parametrize("user", MAY_PUBLISH)
async def test_a_message_names_its_sender_or_nobody(site: Site, user: str) -> None:
    exchange, key = MAY_PUBLISH[user]
    async with login(site.amqp_url(user), user) as each:
        for name in (*MAY_PUBLISH, "admin", "guest", ""):
            came = await each.attempt(partial(publish, exchange=exchange, key=key, user_id=name))
            assert came == DONE if name in (user, "") else "user_id" in came, (name, came)


async def test_a_second_routing_key_gets_nothing_past_the_first(site: Site, probe: Probe) -> None:
    """RabbitMQ before 4.0 checks only the first of them."""
    async with login(site.amqp_url("client"), "client") as client, running(site, "order_service"):
        for header in ("CC", "BCC"):
            item, body = goods()
            hidden = {header: ["catalog.put", "fulfilment.accepted"]}
            came = await client.attempt(
                partial(publish, exchange="commands", key="account.open", body=body, headers=hidden)
            )
            assert came in (DONE, REFUSED)
            if came == DONE:
                letter = await probe.park("order_service.dead", item)
                assert "routing key 'account.open'" in letter.reason
            assert item not in await _catalog(probe)


async def test_what_a_reply_queue_dead_letters_into_the_commands_is_none(site: Site, probe: Probe) -> None:
    """A queue's own arguments send what it holds to any exchange that its user may publish to, with any key."""
    name = f"reply.client.{uuid4()}"
    async with login(site.amqp_url("client"), "client") as client, running(site, "order_service"):
        channel = await client.connection.channel()
        await channel.queue_declare(name, exclusive=True, arguments=AWAY)
        await channel.queue_bind(name, "replies", name)
        question = json.dumps({"item": "no-such-item"}).encode()
        await publish(channel, "queries", "catalog.list", question, reply_to=name, user_id="client")
        letter = await probe.park("order_service.dead", "content_type: 'application/json'")
        assert letter.headers["routing_key"] == "catalog.put"
        assert await _catalog(probe) is not None


async def test_what_a_client_sends_itself_and_dead_letters_is_no_command(site: Site, probe: Probe) -> None:
    """A client may declare an exchange under the name of a reply queue, and so put into that queue what it likes."""
    name, (item, body) = f"reply.client.{uuid4()}", goods()
    async with login(site.amqp_url("client"), "client") as client, running(site, "order_service"):
        channel = await client.connection.channel()
        await channel.exchange_declare(name, exchange_type="fanout")
        await channel.queue_declare(name, exclusive=True, arguments=AWAY)
        await channel.queue_bind(name, name)
        await publish(channel, name, "", body)
        try:
            letter = await probe.park("order_service.dead", item)
            await probe.replay("order_service", letter)
            await probe.park("order_service.dead", item, times=2)
        finally:
            await channel.exchange_delete(name)
        assert item not in await _catalog(probe)


async def test_a_question_that_a_client_may_not_ask_is_not_answered_by_another_way(site: Site) -> None:
    """Only operators see promo codes; a client may declare an exchange and have it forward to that of the questions."""
    name = f"reply.client.{uuid4()}"
    async with login(site.amqp_url("client"), "client") as client:
        channel = await client.connection.channel()
        await channel.queue_declare(name, exclusive=True)
        await channel.queue_bind(name, "replies", name)
        await channel.exchange_declare(name, exchange_type="topic")
        await channel.exchange_bind("queries", name, "promo.show")
        onward = {**AWAY, "x-dead-letter-exchange": "queries", "x-dead-letter-routing-key": "promo.show"}
        away = await channel.queue_declare(f"{name}.away", exclusive=True, arguments=onward)
        await channel.queue_bind(away.queue or "", name, "away")
        asked = {"reply_to": name, "user_id": "client"}
        async with running(site, "promo_service"):
            for key in ("promo.show", "away"):
                await publish(channel, name, key, b'{"code": "ABC"}', **asked)
                assert b"yourself" in (await _taken(channel, name, b"yourself"))[-1]
            await publish(channel, "queries", "promo_service.status", b"nonsense", **asked)
            answers = await _taken(channel, name, b"not JSON")
        # What it took first it has answered by now, although that took longer.
        answers += await _taken(channel, name)
        await channel.exchange_delete(name)
    assert not [each for each in answers if b'"answer"' in each]


async def test_a_command_that_nobody_takes_is_replayed_as_what_it_came_as(site: Site, operator: Connection) -> None:
    _, body = goods()
    async with login(site.amqp_url("client"), "client") as client:
        claim = {"exchange": "commands", "routing_key": "catalog.put", "reason": "nothing to see"}
        forged = partial(publish, exchange="commands", key="order.place.v2", body=body, headers=claim)
        assert await client.attempt(forged) == DONE
    (letter,) = [each for each in await dead.letters(operator) if each.body == body]
    assert (letter.exchange, letter.routing_key) == ("commands", "order.place.v2")
    assert "nothing to see" not in letter.reason
    async with login(site.amqp_url("operator"), "operator") as each:
        channel = await each.connection.channel()
        before = (await channel.queue_declare("order_service", passive=True)).message_count
        await dead.replay(operator, lambda found: [each for each in found if each.body == body])
        assert (await channel.queue_declare("order_service", passive=True)).message_count == before
    (again,) = [each for each in await dead.letters(operator) if each.body == body]
    assert again.routing_key == "order.place.v2"


async def test_a_message_that_the_broker_gave_up_is_replayed_as_what_it_came_as(
    site: Site, operator: Connection
) -> None:
    fact = CoinsCredited(account_id="forged", operation_id=uuid4(), asked_by="promo", kind="bonus", amount=1)
    body = envelope(fact).model_dump_json().encode()
    claim = {"exchange": "user", "routing_key": "coins.credited.promo"}
    death = [
        {
            "queue": "user_service",
            "reason": "rejected",
            "count": 1,
            "exchange": "user",
            "routing-keys": ["coins.credited.promo"],
        }
    ]
    async with login(site.amqp_url("client"), "client") as client:
        for headers in (claim, {**claim, "x-death": death}):
            forged = partial(publish, exchange="commands", key="account.open", body=body, headers=headers)
            assert await client.attempt(forged) == DONE
    await _give_up(site, body, 2)
    first, second = await until(lambda: _origins(operator, body, 2), "the broker has dead-lettered both")
    assert first == ("commands", "account.open")
    # Up to RabbitMQ 3 a broker adds to the sender's x-death, whose routing key is believed of nobody; 4 makes its own.
    assert second in (("commands", ""), ("commands", "account.open"))


async def test_one_client_hears_nothing_of_anothers_answers(site: Site, parts: Parts, probe: Probe) -> None:
    async with another_client(site, parts) as (name, url), running(site, "user_service"), login(url, name) as shop:
        channel = await shop.connection.channel()
        own = f"reply.{name}.1"
        await channel.queue_declare(own, exclusive=True)
        for key in (own, f"reply.{name}.#", f"reply.{name}.*"):
            await channel.queue_bind(own, "replies", key)
        assert await probe.ask(ShowAccount(account_id="never-opened")) == {"answer": None}
        await publish(
            channel, "queries", "account.show", b'{"account_id": "x"}', reply_to=probe._reply_to, user_id=name
        )
        await publish(channel, "queries", "account.show", b'{"account_id": "x"}', reply_to=own, user_id=name)
        heard: list[bytes] = []
        while not heard:
            got = await channel.basic_get(own, no_ack=True)
            if isinstance(got.delivery, Basic.GetOk):
                heard.append(got.body)
        assert [json.loads(each) for each in heard] == [{"answer": None}]
        assert probe._replies.empty()


async def _taken(channel: AbstractChannel, queue: str, last: bytes | None = None) -> list[bytes]:
    """What comes to the queue until something has come that holds `last`; None: what is there already."""
    found: list[bytes] = []
    while True:
        got = await channel.basic_get(queue, no_ack=True)
        if isinstance(got.delivery, Basic.GetOk):
            found.append(got.body)
        elif last is None:
            return found
        if last is not None and found and last in found[-1]:
            return found


async def _origins(operator: Connection, body: bytes, count: int) -> list[tuple[str, str]] | None:
    """Where the letters with this body came from, once there are so many."""
    found = [(each.exchange, each.routing_key) for each in await dead.letters(operator) if each.body == body]
    return found if len(found) == count else None


async def _catalog(probe: Probe) -> list[str]:
    answer = (await probe.ask(ListCatalog()))["answer"]
    return [each["item"] for each in answer["items"]]


async def _give_up(site: Site, body: bytes, times: int) -> None:
    """Have the broker dead-letter these messages, as it does with what kills its consumer too often."""
    done = asyncio.Event()
    left = [None] * times
    async with login(site.amqp_url("user_service"), "user_service") as service:
        channel = await service.connection.channel()

        async def refuse(message: aiormq.abc.DeliveredMessage) -> None:
            if message.body == body:
                left.pop()
            await channel.basic_reject(message.delivery_tag or 0, requeue=False)
            if not left:
                done.set()

        await channel.basic_consume("user_service", refuse)
        await asyncio.wait_for(done.wait(), 20)
