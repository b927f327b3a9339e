"""What an operator can do to the tables and queues of delivery: forget what was handled, and throw messages away."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime

import aio_pika
import pytest

from client.audit import read
from contracts.services import PARTICIPANTS
from contracts.topology import SERVICES
from holdfast.delivery.names import inbox_queue
from holdfast.delivery.words import Service as Name
from local.parts import Parts
from tests.evidence import record
from tests.faults.recording import publish_again, recorded
from tests.faults.stage import Stage
from tests.faults.traffic import SAGA_S_MAX, Traffic
from tests.service.sites import rows, until, value

SAGAS = 150
PURGES = 2
SEED = 7
IMPATIENT = {"ORDER_SERVICE_ASK_AGAIN_S": "1", "PROMO_SERVICE_ASK_AGAIN_S": "1"}
OF_THE_SHOP = [each.service for each in PARTICIPANTS if not each.words]
"""Where messages are thrown away, nobody gives anything, so that nothing lies in the queue of the gift service. It is
purged in tests/service.
"""


@pytest.fixture(scope="module")
def impatient(mortal_parts: Parts) -> Iterator[Stage]:
    """Services that soon ask again what was not answered."""
    opened = Stage(mortal_parts, IMPATIENT)
    try:
        opened.open()
        yield opened
    finally:
        opened.close()


async def test_a_whole_day_once_more_changes_no_balance(impatient: Stage) -> None:
    began = await value(impatient.site, "user_service", "SELECT clock_timestamp()")
    async with recorded(impatient) as messages, Traffic(impatient, SEED) as traffic:
        # Eight at a time end some seven sagas each: three rounds, and one to spare.
        await traffic.reaches(SAGAS, within_s=4 * SAGA_S_MAX)
        await traffic.settled("a day's traffic")
        day, before = list(messages), await _balances(impatient)
        handled = {service: await _handled(impatient, service, began) for service in SERVICES}
        for service in SERVICES:
            await rows(impatient.site, service, "DELETE FROM inbox")
        await publish_again(impatient, day)
        await traffic.fence()
        await traffic.settled(f"every inbox emptied, and the day's {len(day)} messages published again")
        after = await _balances(impatient)
        for service, count in handled.items():
            assert await _handled(impatient, service, began) >= count > 0
    changed = {account for account in before if before[account] != after.get(account)}
    share = f"{len(changed)} of {len(before)}, {len(day)} messages"
    record("balances changed by a whole day published again into empty inboxes", share, f"{SEED}")
    assert not changed


@pytest.mark.timeout(240)
async def test_what_an_operator_throws_away_ends_no_saga_for_ever(impatient: Stage) -> None:
    thrown = 0
    async with Traffic(impatient, SEED + 1, resends=True) as traffic:
        for name in random.Random(SEED).sample(OF_THE_SHOP * PURGES, PURGES * len(OF_THE_SHOP)):
            await traffic.reaches(5)
            await impatient.kill(name)
            thrown += await _purge(impatient, name)
            await impatient.start(name)
        await traffic.settled(f"{thrown} messages thrown away from the inbox queues")
    record("sagas open after a purge of each inbox queue", f"0 of {traffic.sagas}, {thrown} messages purged", f"{SEED}")


async def _purge(stage: Stage, name: Name) -> int:
    """Throw away what lies in the queue of a service that is down, once something does; returns how many messages."""
    connection = await aio_pika.connect(stage.site.amqp_url("admin"))
    async with connection:
        channel = await connection.channel()

        async def waiting() -> bool:
            queue = await channel.declare_queue(inbox_queue(name), passive=True)
            return bool(queue.declaration_result.message_count)

        await until(waiting, f"something lies in the queue of {name}")
        queue = await channel.get_queue(inbox_queue(name), ensure=False)
        return (await queue.purge()).message_count or 0


async def _handled(stage: Stage, name: Name, since: datetime) -> int:
    """How many messages the service's inbox notes."""
    count: int = await value(stage.site, name, "SELECT count(*) FROM inbox WHERE handled_at >= :since", since=since)
    return count


async def _balances(stage: Stage) -> dict[str, int]:
    books = await read(stage.env["HOLDFAST_AUDIT_DATABASE_URL"])
    return {each.key: each.state for each in books.accounts.entities}
