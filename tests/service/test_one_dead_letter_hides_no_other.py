"""Whatever a client sends, an operator sees all dead letters and all that goes by, that message too."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from client import dead
from client.connection import Connection
from client.tap import tap
from contracts.commands import OpenAccount
from contracts.topology import SERVICES
from holdfast.delivery.envelope import SINGLE
from holdfast.delivery.names import DEAD_EXCHANGE
from local.site import Site
from tests.service.probe import envelope
from tests.service.raw import UNREADABLE, Raw, publish_raw

NOBODY_TAKES = "account.open.v2"
LIST = "from client.cli import app; app(['dead', 'list'])"


async def _publish(channel: AbstractChannel, exchange: str, key: str, body: bytes) -> None:
    target = await channel.get_exchange(exchange, ensure=False)
    await target.publish(aio_pika.Message(body, content_type=SINGLE, delivery_mode=2), key)


async def _park_one_of_each(site: Site, mark: str) -> None:
    for service in SERVICES:
        async with await aio_pika.connect(site.amqp_url(service)) as connection:
            body = json.dumps({"type": "[/of]\x1b[2J", "id": mark}).encode()
            await _publish(await connection.channel(), DEAD_EXCHANGE, service, body)


async def _listed(site: Site) -> tuple[int | None, str]:
    """The exit code and the output of `holdfast dead list`, in a process of its own."""
    environment = {**os.environ, "HOLDFAST_OPERATOR_AMQP_URL": site.amqp_url("operator")}
    pipe = asyncio.subprocess.PIPE
    listing = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LIST, env=environment, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await listing.communicate()
    return listing.returncode, output.decode()


@pytest.mark.parametrize("name", UNREADABLE)
async def test_the_letters_of_all_queues_are_listed_and_handed_back(site: Site, name: str) -> None:
    mark, raw = uuid4().hex, uuid4().hex
    flags, ahead, behind = UNREADABLE[name]
    await _park_one_of_each(site, mark)
    async with await aio_pika.connect(site.amqp_url("client")) as client:
        channel = await client.channel()
        await publish_raw(channel, "commands", NOBODY_TAKES, raw.encode(), Raw(flags, ahead + behind))
    operator = Connection(site.amqp_url("operator"), "test")
    try:
        found = [each for each in await dead.letters(operator) if each.id == mark or each.body == raw.encode()]
        assert [each.service for each in found] == [*SERVICES, ""]
        assert found[-1].routing_key == NOBODY_TAKES
        code, output = await _listed(site)
        assert (code, output.count(NOBODY_TAKES) > 0, output.count(mark[:8])) == (0, True, len(SERVICES)), output
        assert "[/of]?[2J" in output
        done = await dead.replay(operator, lambda letters: [each for each in letters if each in found])
        assert done == found
        left = await dead.letters(operator)
        assert mark not in [each.id for each in left]
        assert raw.encode() in [each.body for each in left], "what nobody takes comes back"
    finally:
        await operator.close()


@pytest.mark.parametrize("name", UNREADABLE)
async def test_who_watches_sees_what_comes_after(site: Site, name: str) -> None:
    account = f"account-{uuid4()}"
    flags, ahead, behind = UNREADABLE[name]
    body = envelope(OpenAccount(account_id=account)).model_dump_json().encode()
    operator = Connection(site.amqp_url("operator"), "test")
    try:
        async with tap(operator) as seen, await aio_pika.connect(site.amqp_url("client")) as client:
            channel = await client.channel()
            await publish_raw(channel, "commands", OpenAccount.type, body, Raw(flags, ahead + behind))
            await _publish(channel, "commands", OpenAccount.type, body)
            async with asyncio.timeout(20):
                while (came := await seen.get()) is not None and getattr(came.fact, "account_id", "") != account:
                    pass
            assert came is not None
    finally:
        await operator.close()
