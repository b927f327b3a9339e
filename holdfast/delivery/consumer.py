"""Natural batching: whatever has arrived is handled in one transaction, and acknowledged after its commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from holdfast.delivery.checkpoints import Checkpoint, Hook
from holdfast.delivery.message import Message, Origin, Unreadable, decode
from holdfast.delivery.names import DEATH_HEADER, REPLAY_EXCHANGE
from holdfast.delivery.unit_of_work import Arrived
from holdfast.delivery.words import Fact

log = structlog.get_logger(__name__)

EVENTS_TOGETHER_MAX = 500
"""Bounds one transaction; a busy service reaches it, an idle one handles each event at once."""
BYTES_TOGETHER_MAX = 16 * 1024 * 1024
"""Bounds what one transaction writes, where all of it has to be parked."""
PREFETCH = 250
"""Deliveries the broker hands out before their acknowledgement, so that the next batch arrives while one is handled."""
NAME_MAX = 255
"""AMQP's longest name. Where an operator's headers claim a longer one, parking it could exceed the largest frame."""


class Consumer:
    """Collects deliveries in the order of their arrival and has them handled, one batch after the other."""

    def __init__(
        self,
        facts: Mapping[str, type[Fact]],
        handle: Callable[[Sequence[Arrived]], Awaitable[None]],
        hook: Hook | None = None,
    ) -> None:
        self._facts, self._handle, self._hook = facts, handle, hook
        self._deliveries: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def problem(self) -> str | None:
        """Why nothing is handled, or None."""
        return "consumer: not running" if self._task is None or self._task.done() else None

    @property
    def jobs(self) -> list[asyncio.Task[None]]:
        """The task that handles what arrives."""
        return [self._task] if self._task else []

    def take(self, delivery: AbstractIncomingMessage) -> None:
        """A delivery has arrived. It stays unacknowledged until it is handled."""
        self._deliveries.put_nowait(delivery)

    def start(self) -> None:
        """Begin to handle what arrives, in the background."""
        self._task = asyncio.create_task(self._run(), name="consumer")

    async def stop(self, within_s: float) -> None:
        """Finish the batch at hand, for at most `within_s` seconds. What else was delivered goes back to the broker."""
        self._stopping = True
        self._deliveries.put_nowait(None)
        if self._task:
            await asyncio.wait([self._task], timeout=within_s)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            deliveries, arrived = await self._gather()
            if not deliveries:
                return
            await self._handle(arrived)
            await self._reached("before ack")
            await _acknowledge(deliveries)
            await self._reached("after ack")

    async def _reached(self, checkpoint: Checkpoint) -> None:
        if self._hook:
            await self._hook(checkpoint)

    async def _gather(self) -> tuple[list[AbstractIncomingMessage], list[Arrived]]:
        """Whatever has arrived, at least one delivery; nothing when stopping."""
        deliveries: list[AbstractIncomingMessage] = []
        arrived: list[Arrived] = []
        size = 0
        while not deliveries or (
            len(arrived) < EVENTS_TOGETHER_MAX and size < BYTES_TOGETHER_MAX and not self._deliveries.empty()
        ):
            delivery = await self._deliveries.get()
            if delivery is None or self._stopping:
                return [], []
            deliveries.append(delivery)
            size += len(delivery.body)
            arrived += self._read(delivery)
        return deliveries, arrived

    def _read(self, delivery: AbstractIncomingMessage) -> list[Arrived]:
        exchange, routing_key = delivery.exchange or "", delivery.routing_key or ""
        replayed = exchange == REPLAY_EXCHANGE
        if replayed:
            came_by = [str(delivery.headers.get(name, ""))[:NAME_MAX] for name in ("exchange", "routing_key")]
            exchange, routing_key = came_by[0] or exchange, came_by[1] or routing_key
        elif DEATH_HEADER in delivery.headers:
            exchange = DEATH_HEADER  # whoever declared the queue that sent it on chose the exchange
        origin = Origin(exchange, routing_key, delivery.content_type, replayed, delivery.content_encoding)
        contents: list[Message | Unreadable] = decode(delivery.body, origin, self._facts)
        return [Arrived(content, origin, bool(delivery.redelivered)) for content in contents]


async def _acknowledge(deliveries: list[AbstractIncomingMessage]) -> None:
    """Acknowledge each by itself: they may have been taken in another order than they were delivered in.

    Where the channel is gone, the broker sends them again, and the inbox knows them.
    """
    for delivery in deliveries:
        try:
            await delivery.ack()
        except CONNECTION_EXCEPTIONS as error:
            log.info("acknowledgement lost, the message comes again", error=repr(error)[:200])
