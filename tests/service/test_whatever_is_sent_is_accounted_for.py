"""Hostile messages of all kinds: each that reaches a service is in its inbox, with a reason if it is parked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aio_pika.abc import AbstractIncomingMessage
from structlog.testing import capture_logs

from contracts.topology import SERVICES
from holdfast.delivery.names import REPLIES_EXCHANGE
from local.site import Site
from tests.hostile import hostile
from tests.hostile.sending import send, unaccounted
from tests.hostile.ways import REPLY_TO
from tests.service.probe import Probe
from tests.service.sites import Instance, running, until

SEEDS = range(600)


@pytest.fixture
async def all_services(site: Site) -> AsyncIterator[list[Instance]]:
    """The three services at work."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(site, service)) for service in SERVICES]


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
        await send(site, messages)
        for service in SERVICES:
            await probe.fence(service)
    assert await unaccounted(site, messages) == []
    unrouted = {each.body for each in messages if each.fate == "unrouted"}
    await probe.wait(lambda: unrouted <= {each.body for each in probe.parked("unrouted.dead")}, "what nobody takes")
    asked = sum(each.fate == "answered" for each in messages)
    await until(lambda: len(answers) >= asked, "each question is answered")
    assert all(b'"error"' in each.body for each in answers)
    assert [line for line in logs if line["log_level"] in ("error", "critical")] == []
    for instance in all_services:
        assert await instance.health() == []
