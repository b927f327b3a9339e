"""AMQP properties that break the client library's decoder cost their message, and neither connection nor consumer."""

from __future__ import annotations

import struct
from typing import Any
from uuid import uuid4

import pytest
from aio_pika.abc import AbstractChannel
from pamqp.commands import Basic
from structlog.testing import capture_logs

from contracts.commands import CreditAccount
from contracts.envelope import SINGLE
from contracts.events import CoinsCredited
from contracts.queries import ShowAccount
from contracts.topology import QUERIES_EXCHANGE
from local.site import Site
from messaging.connection import is_consuming
from tests.service.facts import account_with
from tests.service.probe import Probe, envelope
from tests.service.sites import Instance, until, value

CONTENT_TYPE, HEADERS, CORRELATION_ID, REPLY_TO, TIMESTAMP, USER_ID = (
    Basic.Properties.flags[name]
    for name in ("content_type", "headers", "correlation_id", "reply_to", "timestamp", "user_id")
)
DEPTH = 3000
"""Tables within tables: deeper than Python recurses, and still within one frame."""


def _short(text: bytes) -> bytes:
    return struct.pack("B", len(text)) + text


def _deep() -> bytes:
    entry = _short(b"k") + b"V"
    for _ in range(DEPTH):
        entry = _short(b"k") + b"F" + struct.pack(">I", len(entry)) + entry
    return struct.pack(">I", len(entry)) + entry


TYPE = _short(SINGLE.encode())
UNREADABLE: dict[str, tuple[int, bytes, bytes]] = {
    "a time beyond the year 9999": (CONTENT_TYPE | TIMESTAMP, TYPE, struct.pack(">Q", 10**17)),
    "a content type that is not UTF-8": (CONTENT_TYPE, _short(b"\xff\xfe\xfd"), b""),
    "headers nested too deep": (CONTENT_TYPE | HEADERS, TYPE + _deep(), b""),
    "a header name that is not UTF-8": (
        CONTENT_TYPE | HEADERS,
        TYPE + struct.pack(">I", 3) + _short(b"\xff") + b"V",
        b"",
    ),
}
"""Flags, and the bytes of the properties that come before and after `reply_to` in the frame."""


class Raw(Basic.Properties):
    """Properties that travel as these bytes, whatever they mean."""

    def __init__(self, flags: int, content: bytes) -> None:
        super().__init__()
        self.sent = struct.pack(">H", flags) + content

    def marshal(self) -> bytes:
        """The bytes as they were given."""
        return self.sent


async def _publish(channel: AbstractChannel, exchange: str, key: str, body: bytes, properties: Raw) -> None:
    underlay = await channel.get_underlay_channel()
    await underlay.basic_publish(body, exchange=exchange, routing_key=key, properties=properties, mandatory=True)


async def _consuming(instance: Instance) -> list[tuple[str, Any]]:
    """Its consumers, each with the channel it has: after a lost connection that is another one."""
    for broker in (instance.broker, instance.questions):
        await until(lambda broker=broker: is_consuming(broker), "it consumes")  # type: ignore[misc]
    found: list[Any] = [*instance.broker.subscribers, *instance.questions.subscribers]
    return [(each._consumer_tag, await each._queue_obj.channel.get_underlay_channel()) for each in found]


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_message_is_parked_and_the_next_is_handled(
    site: Site, probe: Probe, users: Instance, name: str
) -> None:
    account, before = await account_with(probe, 50), await _consuming(users)
    flags, ahead, behind = UNREADABLE[name]
    credit_id, next_id = uuid4(), uuid4()
    body = envelope(CreditAccount(credit_id=credit_id, account_id=account, amount=5)).model_dump_json().encode()
    channel = await probe.channel("client")
    await _publish(channel, "commands", CreditAccount.type, body, Raw(flags, ahead + behind))
    assert "content_type" in (await probe.park("user_service.dead", str(credit_id))).reason
    await probe.send(CreditAccount(credit_id=next_id, account_id=account, amount=7))
    await probe.hear(CoinsCredited, next_id)
    balance = "SELECT balance FROM accounts WHERE account_id = :a"
    assert await value(site, "user_service", balance, a=account) == 57
    assert await _consuming(users) == before


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_question_is_not_answered_and_the_next_is(site: Site, probe: Probe, users: Instance, name: str) -> None:
    before = await _consuming(users)
    flags, ahead, behind = UNREADABLE[name]
    properties = Raw(flags | REPLY_TO, ahead + _short(probe._reply_to.encode()) + behind)
    body = ShowAccount(account_id="somebody").model_dump_json().encode()
    with capture_logs() as logs:
        await _publish(await probe.channel("client"), QUERIES_EXCHANGE, ShowAccount.type, body, properties)
        warned = "question without its own reply queue"
        await until(lambda: [line for line in logs if line["event"] == warned], "it is turned down")
    assert (await probe.ask(ShowAccount(account_id="never-opened"))) == {"answer": None}
    assert probe._replies.empty()
    assert await _consuming(users) == before


async def test_questions_whose_answers_cannot_be_sent_keep_nobody_from_asking(probe: Probe, users: Instance) -> None:
    """An id that is not UTF-8 is longer than AMQP's fields once it is text. More such questions than are handed out."""
    before = await _consuming(users)
    names = _short(b"\xff" * 200) + _short(probe._reply_to.encode()) + _short(b"client")
    body = ShowAccount(account_id="somebody").model_dump_json().encode()
    with capture_logs() as logs:
        for _ in range(25):
            properties = Raw(CORRELATION_ID | REPLY_TO | USER_ID, names)
            await _publish(await probe.channel("client"), QUERIES_EXCHANGE, ShowAccount.type, body, properties)
        assert (await probe.ask(ShowAccount(account_id="never-opened"))) == {"answer": None}
    assert len([line for line in logs if line["event"] == "answer cannot be sent"]) == 25
    assert await _consuming(users) == before


async def test_a_content_type_that_is_longer_once_it_is_printable_is_parked(probe: Probe, users: Instance) -> None:
    content_type = "\N{GRINNING FACE}" * 58 + "\x01" * 22
    assert len(content_type.encode()) == 254
    body = envelope(CreditAccount(credit_id=(credit_id := uuid4()), account_id="x", amount=1)).model_dump_json()
    await probe.publish("client", "commands", CreditAccount.type, body.encode(), content_type)
    parked = await probe.park("user_service.dead", str(credit_id))
    assert "content_type" in parked.reason
    assert (parked.content_type or "").startswith("\N{GRINNING FACE}" * 58)
    assert not await users.problems()
