"""Sends hostile messages, and looks for each of them afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from uuid import UUID

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError
from aiormq.exceptions import ChannelInvalidStateError

from contracts.topology import SERVICES
from holdfast.delivery.words import Service
from local.site import Site
from tests.hostile.message import HostileMessage
from tests.service.sites import rows

KNOWN = "SELECT message_id, parked_reason FROM inbox WHERE message_id = ANY(:keys)"


async def send(site: Site, messages: Sequence[HostileMessage]) -> None:
    """Publish them, each by its user and confirmed. Fails if the broker refuses others than those it is to refuse."""
    async with AsyncExitStack() as stack:
        connections: dict[str, AbstractConnection] = {}
        channels: dict[str, AbstractChannel] = {}
        for each in messages:
            if each.user not in connections:
                opened = await aio_pika.connect(site.amqp_url(each.user))
                connections[each.user] = await stack.enter_async_context(opened)
            if each.user not in channels or channels[each.user].is_closed:
                channels[each.user] = await connections[each.user].channel()
            try:
                await each.publish(channels[each.user])
            except (AMQPError, ChannelInvalidStateError):
                assert each.fate == "refused", each
            else:
                assert each.fate != "refused", each


async def unaccounted(site: Site, messages: Sequence[HostileMessage]) -> list[str]:
    """Those that a service should know and does not, or should have parked and has not."""
    keys: dict[Service, list[tuple[UUID, HostileMessage]]] = {service: [] for service in SERVICES}
    for each in messages:
        for service, known in each.inbox_keys().items():
            keys[service] += [(key, each) for key in known]
    found = []
    for service, expected in keys.items():
        kept = await rows(site, service, KNOWN, keys=[key for key, _ in expected])
        reasons: dict[UUID, str | None] = {row[0]: row[1] for row in kept}
        found += [f"{service}: never came: {each}" for key, each in expected if key not in reasons]
        found += [
            f"{service}: not parked: {each}"
            for key, each in expected
            if each.fate == "parked" and key in reasons and not reasons[key]
        ]
    return found
