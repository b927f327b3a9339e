"""Everything that was published, as it went by, and publishing all of it once more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from contracts.topology import SHOP
from tests.faults.stage import Stage

TOGETHER = 200


@asynccontextmanager
async def recorded(stage: Stage) -> AsyncIterator[list[AbstractIncomingMessage]]:
    """Each message to or from a service meanwhile, in its order of arrival, as an operator may hear it."""
    messages: list[AbstractIncomingMessage] = []

    async def take(message: AbstractIncomingMessage) -> None:
        messages.append(message)

    connection = await aio_pika.connect(stage.site.amqp_url("operator"))
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"tap.operator.{uuid4()}", exclusive=True)
        for exchange in SHOP.publishers:
            await queue.bind(exchange, "#")
        await queue.consume(take, no_ack=True)
        yield messages


async def publish_again(stage: Stage, messages: list[AbstractIncomingMessage]) -> None:
    """The same messages once more, in the same order, each by a user who may publish it; confirmed."""
    publishers = {exchange: service for service, exchange in SHOP.exchanges.items()} | {"commands": "operator"}
    connections = {user: await aio_pika.connect(stage.site.amqp_url(user)) for user in set(publishers.values())}
    try:
        channels = {user: await each.channel(publisher_confirms=True) for user, each in connections.items()}
        for start in range(0, len(messages), TOGETHER):
            part = messages[start : start + TOGETHER]
            users = [publishers[message.exchange or ""] for message in part]
            await asyncio.gather(
                *(_publish(channels[user], user, message) for user, message in zip(users, part, strict=True))
            )
    finally:
        for connection in connections.values():
            await connection.close()


async def _publish(channel: AbstractChannel, user: str, message: AbstractIncomingMessage) -> None:
    again = aio_pika.Message(
        message.body,
        content_type=message.content_type,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=message.message_id,
        user_id=user,
        headers=dict(message.headers),
    )
    target = await channel.get_exchange(message.exchange or "", ensure=False)
    await target.publish(again, message.routing_key or "", mandatory=False)
