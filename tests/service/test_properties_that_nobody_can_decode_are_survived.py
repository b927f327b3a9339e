"""AMQP properties that break the client library's decoder cost their message, and neither connection nor consumer."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from contracts.commands import CreditAccount
from contracts.events import CoinsCredited
from contracts.queries import ShowAccount
from holdfast.delivery.answering import Answering
from holdfast.delivery.connection import is_consuming
from holdfast.delivery.names import QUERIES_EXCHANGE
from local.site import Site
from tests.service.facts import account_with
from tests.service.probe import Probe, envelope
from tests.service.raw import REPLY_TO, UNREADABLE, Raw, publish_raw, short
from tests.service.sites import Instance, until, value


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
    await publish_raw(channel, "commands", CreditAccount.type, body, Raw(flags, ahead + behind))
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
    properties = Raw(flags | REPLY_TO, ahead + short(probe._reply_to.encode()) + behind)
    body = ShowAccount(account_id="somebody").model_dump_json().encode()
    with capture_logs() as logs:
        await publish_raw(await probe.channel("client"), QUERIES_EXCHANGE, ShowAccount.type, body, properties)
        warned = "question without its own reply queue"
        await until(lambda: [line for line in logs if line["event"] == warned], "it is turned down")
    assert (await probe.ask(ShowAccount(account_id="never-opened"))) == {"answer": None}
    assert probe._replies.empty()
    assert await _consuming(users) == before


async def test_questions_whose_answers_cannot_be_sent_keep_nobody_from_asking(
    probe: Probe, users: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than are handed out before an acknowledgement."""
    before, reply = await _consuming(users), Answering._reply
    failed = 0

    async def fails(self: Answering, request: Any, reply_to: str) -> None:
        nonlocal failed
        if b"somebody" in request.body:
            failed += 1
            raise TypeError("string exceeds maximum length of 255 bytes")
        await reply(self, request, reply_to)

    monkeypatch.setattr(Answering, "_reply", fails)
    for _ in range(25):
        await probe.publish(
            "client",
            QUERIES_EXCHANGE,
            ShowAccount.type,
            ShowAccount(account_id="somebody").model_dump_json().encode(),
            reply_to=probe._reply_to,
            user_id="client",
        )
    assert (await probe.ask(ShowAccount(account_id="never-opened"))) == {"answer": None}
    assert failed == 25
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
