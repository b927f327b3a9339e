"""A FastStream broker's connection: made however long that takes, looked at, and left."""

from __future__ import annotations

import asyncio

import stamina
import structlog
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from faststream.rabbit import RabbitBroker

log = structlog.get_logger(__name__)

RECONNECT_S = 1.0
CONNECT_S_MAX = 10.0
"""A broker that takes the connection and then says nothing is tried again after this."""


async def connect(broker: RabbitBroker) -> None:
    """Return once its subscribers consume, however long the broker is away; later it connects again by itself."""
    async for attempt in stamina.retry_context(
        CONNECTION_EXCEPTIONS, attempts=None, timeout=None, wait_initial=0.1, wait_max=RECONNECT_S
    ):
        with attempt:
            await broker.start()


async def close_channels(broker: RabbitBroker) -> None:
    """Hand back what was delivered and not handled, before the next consumer begins.

    A consumer that is cancelled first lets its successor begin at once, with what comes after that.
    """
    for subscriber in broker.subscribers:
        queue = getattr(subscriber, "_queue_obj", None)
        if queue is None:
            continue
        try:
            await asyncio.wait_for(queue.channel.close(), 1)
        except (*CONNECTION_EXCEPTIONS, TimeoutError) as error:
            log.info("channel not closed", error=repr(error)[:200])


async def disconnect(broker: RabbitBroker) -> None:
    """Leave the broker, within two seconds."""
    try:
        await asyncio.wait_for(broker.stop(), 2)
    except (*CONNECTION_EXCEPTIONS, TimeoutError, ExceptionGroup) as error:
        log.info("connection not closed", error=repr(error)[:200])


async def is_consuming(broker: RabbitBroker) -> bool:
    """Whether the broker delivers: also false where it ended a consumer because its queue was deleted."""
    if not await broker.ping(timeout=0.5):
        return False
    return all([await _is_subscribed(each) for each in broker.subscribers])


async def _is_subscribed(subscriber: object) -> bool:
    """Whether the broker still has the consumer of this subscriber."""
    tag, queue = getattr(subscriber, "_consumer_tag", None), getattr(subscriber, "_queue_obj", None)
    if not tag or queue is None or queue.channel.is_closed:
        return False
    try:
        channel = await asyncio.wait_for(queue.channel.get_underlay_channel(), 0.5)
    except (*CONNECTION_EXCEPTIONS, TimeoutError):
        return False
    return tag in channel.consumers
