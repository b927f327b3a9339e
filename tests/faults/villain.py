"""What hostile messages leave in the dead-letter queues."""

from __future__ import annotations

from collections.abc import Sequence

import aio_pika

from contracts.topology import SERVICES, UNROUTED_QUEUE, dead_queue
from local.site import Site


async def clear(site: Site, healthy: Sequence[str]) -> tuple[int, list[str]]:
    """Take all letters from the dead-letter queues. Returns how many, and those that hold one of these words."""
    words = [word.encode() for word in healthy]
    count, found = 0, []
    async with await aio_pika.connect(site.amqp_url("operator")) as connection:
        channel = await connection.channel()
        for name in (*map(dead_queue, SERVICES), UNROUTED_QUEUE):
            queue = await channel.get_queue(name, ensure=False)
            while letter := await queue.get(fail=False):
                count += 1
                if any(word in letter.body for word in words):
                    found.append(f"{name}: {letter.headers.get('reason')!r}: {letter.body[:300]!r}")
                await letter.ack()
    return count, found
