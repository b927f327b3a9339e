"""A question is answered to its asker's own queue, and to nobody else; a wrong one is answered with what is wrong."""

from __future__ import annotations

import json
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.exceptions import PublishError
from structlog.testing import capture_logs

from contracts.queries import ListCatalog, ShowAccount, ShowHistory, ShowRedemption
from holdfast.delivery.names import REPLIES_EXCHANGE
from local.parts import Parts
from local.site import Site
from provision.broker import add_client
from tests.service.facts import account_with, item_with
from tests.service.probe import Probe
from tests.service.sites import until

QUESTION = json.dumps({"account_id": "somebody"}).encode()


@pytest.mark.usefixtures("users")
async def test_a_question_is_answered(probe: Probe) -> None:
    account = await account_with(probe, 50)
    answer = (await probe.ask(ShowAccount(account_id=account)))["answer"]
    assert (answer["balance"], answer["available"], answer["pending"]) == (50, 50, [])
    history = (await probe.ask(ShowHistory(account_id=account)))["answer"]
    assert [line["balance_after"] for line in history["lines"]] == [50]
    assert (await probe.ask(ShowAccount(account_id="never-opened"))) == {"answer": None}


@pytest.mark.usefixtures("orders", "promos")
async def test_the_other_services_answer_theirs(probe: Probe) -> None:
    item = await item_with(probe, 3)
    await probe.fence("order_service")
    items = (await probe.ask(ListCatalog()))["answer"]["items"]
    assert item in [each["item"] for each in items]
    assert (await probe.ask(ShowRedemption(redemption_id=uuid4()))) == {"answer": None}


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize(
    ("key", "body", "wrong"),
    [
        ("account.show", b"{}", "account_id: Field required"),
        ("account.show", b"", "account_id"),
        ("account.show", b"{not json", "body: not JSON"),
        ("account.show", b"[]", "message"),
        ("account.show", json.dumps({"account_id": "a\0b"}).encode(), "account_id"),
        ("account.history", json.dumps({"account_id": "a", "limit": 501}).encode(), "limit"),
        ("account.history", json.dumps({"account_id": "a", "before_seq": 10**30}).encode(), "before_seq"),
        ("operation.show", json.dumps({"account_id": "a", "operation_id": "x"}).encode(), "operation_id"),
    ],
)
async def test_a_wrong_question_is_answered_with_what_is_wrong(probe: Probe, key: str, body: bytes, wrong: str) -> None:
    assert wrong in (await probe.ask_raw(key, body))["error"]


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize("key", ["account.nonsense", "user_service.nonsense", "nobody.status", ""])
async def test_an_unknown_question_comes_back_to_its_asker(probe: Probe, key: str) -> None:
    with pytest.raises(PublishError, match="NO_ROUTE"):
        await probe.ask_raw(key, b"{}")


@pytest.mark.usefixtures("users")
async def test_a_question_without_its_askers_name_or_with_another_ones_queue_is_not_answered(probe: Probe) -> None:
    own, foreign = probe._reply_to, f"reply.operator.{uuid4()}"
    with capture_logs() as logs:
        await probe.question("account.show", QUESTION, own)
        await probe.question("account.show", QUESTION, foreign, user_id="client")
        await probe.question("account.show", QUESTION, "user_service", user_id="client")
        await probe.question("account.show", QUESTION, f"reply.clientele.{uuid4()}", user_id="client")
        warned = "question without its own reply queue"
        await until(lambda: len([line for line in logs if line["event"] == warned]) == 4, "all four are turned down")
    assert (await probe.ask(ShowAccount(account_id="never-opened"))) == {"answer": None}
    assert probe._replies.empty()


async def test_nobody_can_pretend_to_be_another(probe: Probe) -> None:
    with pytest.raises(Exception, match="user_id"):
        await probe.question("account.show", QUESTION, "reply.operator.x", user_id="operator")


async def test_a_client_cannot_listen_to_another_ones_replies(parts: Parts, site: Site, probe: Probe) -> None:
    name = f"nosy-{uuid4().hex[:8]}"
    password = add_client(parts.broker.management, site.vhost, name)
    url = urlsplit(site.amqp_url("client"))
    nosy = urlunsplit(url._replace(netloc=f"{name}:{quote(password)}@{url.netloc.rpartition('@')[2]}"))
    connection = await aio_pika.connect(nosy)
    try:
        for attempt in (_bind, _consume, _declare):
            channel = await connection.channel()
            with pytest.raises(Exception, match=r"ACCESS_REFUSED|RESOURCE_LOCKED"):
                await attempt(channel, name, probe._reply_to)
    finally:
        await connection.close()
        parts.broker.management.call("DELETE", "users", name)


async def _bind(channel: aio_pika.abc.AbstractChannel, name: str, theirs: str) -> None:
    own = await channel.declare_queue(f"reply.{name}.1", exclusive=True)
    await own.bind(REPLIES_EXCHANGE, theirs)


async def _consume(channel: aio_pika.abc.AbstractChannel, name: str, theirs: str) -> None:
    queue = await channel.get_queue(theirs, ensure=False)

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        await message.ack()

    await queue.consume(take)


async def _declare(channel: aio_pika.abc.AbstractChannel, name: str, theirs: str) -> None:
    await channel.declare_queue(f"{theirs}.more")
