"""What hostile messages leave in the dead-letter queues."""

from __future__ import annotations

from collections.abc import Callable

import aio_pika

from contracts.topology import SERVICES
from holdfast.delivery.names import UNROUTED_QUEUE, dead_queue
from local.site import Site


async def clear(site: Site, is_healthy: Callable[[bytes], bool]) -> tuple[list[bytes], list[str]]:
    """Take all letters from the dead-letter queues. Returns their bodies, and those that are healthy."""
    bodies: list[bytes] = []
    found: list[str] = []
    async with await aio_pika.connect(site.amqp_url("operator")) as connection:
        channel = await connection.channel()
        for name in (*map(dead_queue, SERVICES), UNROUTED_QUEUE):
            queue = await channel.get_queue(name, ensure=False)
            while letter := await queue.get(fail=False):
                bodies.append(letter.body)
                if is_healthy(letter.body):
                    found.append(f"{name}: {letter.headers.get('reason')!r}: {letter.body[:300]!r}")
                await letter.ack()
    return bodies, found
