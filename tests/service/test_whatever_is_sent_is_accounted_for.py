"""Hostile messages of all kinds: each that reaches a service is in its inbox, with a reason if it is parked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from uuid import UUID

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError
from aiormq.exceptions import ChannelInvalidStateError
from structlog.testing import capture_logs

from contracts.topology import REPLIES_EXCHANGE, SERVICES
from local.site import Site
from tests.hostile import HostileMessage, hostile
from tests.hostile.ways import REPLY_TO
from tests.service.probe import Probe
from tests.service.sites import Instance, rows, running, until

SEEDS = range(600)
KNOWN = "SELECT message_id, parked_reason FROM inbox"


@pytest.fixture
async def all_services(site: Site) -> AsyncIterator[list[Instance]]:
    """The three services at work."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(site, service)) for service in SERVICES]


async def _send(site: Site, messages: Sequence[HostileMessage]) -> None:
    """Publish them, each by its user. The broker refuses those that are to be refused, and no other."""
    async with AsyncExitStack() as stack:
        connections: dict[str, AbstractConnection] = {}
        channels: dict[str, AbstractChannel] = {}
        for each in messages:
            if each.user not in connections:
                connections[each.user] = await stack.enter_async_context(
                    await aio_pika.connect(site.amqp_url(each.user))
                )
            if each.user not in channels or channels[each.user].is_closed:
                channels[each.user] = await connections[each.user].channel()
            try:
                await each.publish(channels[each.user])
            except (AMQPError, ChannelInvalidStateError):
                assert each.fate == "refused", each
            else:
                assert each.fate != "refused", each


async def _answers(probe: Probe) -> list[AbstractIncomingMessage]:
    """What comes to the reply queue of hostile questions, from now on."""
    found: list[AbstractIncomingMessage] = []
    channel = await probe.channel("client")
    queue = await channel.declare_queue(REPLY_TO, exclusive=True)
    await queue.bind(REPLIES_EXCHANGE, REPLY_TO)

    async def take(message: AbstractIncomingMessage) -> None:
        found.append(message)

    await queue.consume(take, no_ack=True)
    return found


@pytest.mark.timeout(300)
async def test_each_is_parked_or_decided_and_no_healthy_one_waits(
    site: Site, probe: Probe, all_services: list[Instance]
) -> None:
    messages = [hostile(seed) for seed in SEEDS]
    answers = await _answers(probe)
    with capture_logs() as logs:
        await _send(site, messages)
        for service in SERVICES:
            await probe.fence(service)
    for service in SERVICES:
        known: dict[UUID, str | None] = {row[0]: row[1] for row in await rows(site, service, KNOWN)}
        for each in messages:
            for key in each.inbox_keys().get(service, ()):
                assert key in known, each
                assert each.fate != "parked" or known[key], each
    unrouted = {each.body for each in messages if each.fate == "unrouted"}
    await probe.wait(lambda: unrouted <= {each.body for each in probe.parked("unrouted.dead")}, "what nobody takes")
    asked = sum(each.fate == "answered" for each in messages)
    await until(lambda: len(answers) >= asked, "each question is answered")
    assert all(b'"error"' in each.body for each in answers)
    assert [line for line in logs if line["log_level"] in ("error", "critical")] == []
    for instance in all_services:
        assert await instance.health() == []
