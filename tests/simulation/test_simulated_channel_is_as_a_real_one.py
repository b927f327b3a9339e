"""The simulated channel gives the relay what a real one does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aio_pika
import pytest

from holdfast.delivery.outbox import Outgoing
from holdfast.delivery.relay import Relay, _is_outage
from local.parts import Parts
from local.site import Site
from provision.secrets import amqp_url
from tests.faults.proxy import CONFIRM, Proxy
from tests.simulation.channel import Channel, Verdict

VERDICTS: dict[str, Verdict] = {"confirmed": "confirmed", "nobody bound": "unroutable", "cut": "lost"}


@pytest.fixture(scope="module")
def site(parts: Parts) -> Iterator[Site]:
    made = parts.fresh_site("ch")
    made.provision()
    yield made
    made.drop()


@asynccontextmanager
async def real(parts: Parts, site: Site, case: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """A real channel, whose connection is cut before a confirm comes back in the case that asks for it."""
    with Proxy(lambda: [parts.broker.address]) as proxy:
        url = amqp_url(parts.settings, "user_service", proxy.address, site.vhost)
        connection = await aio_pika.connect(url, timeout=10)
        try:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            if case == "cut":
                proxy.cut_before(CONFIRM)
            yield channel
        finally:
            await connection.close()


async def published(channel: Any, case: str) -> BaseException | None:
    """What the relay's own publishing comes to."""
    relay = Relay.__new__(Relay)
    relay._name, relay._user = "user_service", "user_service"
    key = "coins.credited.promo" if case != "nobody bound" else "nobody.takes.this"
    message = Outgoing(uuid4(), "user", key, "application/cloudevents+json", b"{}")
    try:
        await asyncio.wait_for(relay._publish_one(channel, message), 10)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("case", VERDICTS)
async def test_the_relay_cannot_tell_them_apart(parts: Parts, site: Site, case: str) -> None:
    async with real(parts, site, case) as channel:
        theirs = await published(channel, case)
    ours = await published(Channel(lambda _: VERDICTS[case]), case)
    print(repr(theirs), repr(ours))
    assert type(ours) is type(theirs)
    assert ours is None or theirs is None or _is_outage(ours) == _is_outage(theirs)
