"""Numbered messages into a durable quorum queue of the test's own, and which of them were confirmed and arrived."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Self

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from client.connection import OUTAGE
from tests.faults.stage import Stage
from tests.service.sites import until

QUEUE = "stream"
TOGETHER = 200
PAUSE_S = 0.05
OPEN_S_MAX = 10.0
"""A broker that is still starting may take a connection and leave the rest unanswered."""
DRAIN_S_MAX = 120.0


class Stream:
    """Publishes as fast as the broker confirms, and goes on after each outage. Nothing is consumed before `lost`: each
    outage puts at risk all that was confirmed.

    A message that was not confirmed is given up: whether it arrives is open.
    """

    def __init__(self, stage: Stage) -> None:
        self._url = stage.site.amqp_url("admin")
        self._numbers = count()
        self._enough = asyncio.Event()
        self.confirmed: set[int] = set()
        self.arrived: set[int] = set()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._go_on(self._publish, self._enough))]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def reaches(self, confirmed: int, within_s: float = 120.0) -> None:
        """Return once this many more were confirmed."""
        goal = len(self.confirmed) + confirmed
        await until(lambda: self._confirmed(goal), f"{confirmed} more messages are confirmed", within_s)

    async def lost(self) -> set[int]:
        """Stop publishing and consume all; returns what was confirmed and did not arrive."""
        self._enough.set()
        await self._tasks[0]
        self._tasks.append(asyncio.create_task(self._go_on(self._consume, asyncio.Event())))
        with contextlib.suppress(AssertionError):
            await until(lambda: self.confirmed <= self.arrived, "all that was confirmed arrives", DRAIN_S_MAX)
        return self.confirmed - self.arrived

    def _confirmed(self, goal: int) -> bool:
        for task in self._tasks:
            if task.done():
                task.result()
        return len(self.confirmed) >= goal

    async def _go_on(
        self, work: Callable[[AbstractChannel, AbstractQueue], Awaitable[None]], enough: asyncio.Event
    ) -> None:
        while not enough.is_set():
            try:
                connection = await aio_pika.connect(self._url, timeout=5)
                try:
                    async with asyncio.timeout(OPEN_S_MAX):
                        channel = await connection.channel(publisher_confirms=True)
                        queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
                    await work(channel, queue)
                finally:
                    await asyncio.wait_for(connection.close(), 5)
            except OUTAGE:
                await asyncio.sleep(PAUSE_S)

    async def _publish(self, channel: AbstractChannel, queue: AbstractQueue) -> None:
        while not self._enough.is_set():
            numbers = [next(self._numbers) for _ in range(TOGETHER)]
            outcomes = await asyncio.gather(*(_send(channel, each) for each in numbers), return_exceptions=True)
            self.confirmed.update(each for each, error in zip(numbers, outcomes, strict=True) if error is None)
            for error in outcomes:
                if error:
                    raise error

    async def _consume(self, channel: AbstractChannel, queue: AbstractQueue) -> None:
        await channel.set_qos(prefetch_count=10 * TOGETHER)
        await queue.consume(self._take)
        await channel.closed()

    async def _take(self, message: AbstractIncomingMessage) -> None:
        self.arrived.add(int(message.body))
        await message.ack()


async def _send(channel: AbstractChannel, number: int) -> None:
    message = aio_pika.Message(str(number).encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await channel.default_exchange.publish(message, QUEUE, timeout=10)
