"""What is not as it must be once a system has come to rest: nothing here changes anything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from client import audit, dead
from client.audit_rows import Books
from client.client import Client
from client.errors import Unreachable
from contracts.topology import SERVICES
from holdfast.delivery.names import inbox_queue
from holdfast.delivery.words import Service
from tests.faults import gifts
from tests.faults.gifts import Gift
from tests.faults.saga import Ending
from tests.faults.stage import Stage

REST_S_MAX = 10.0
SWEPT_S_MAX = 3.0
"""How long after a deadline it may take until the books say so, on a busy machine; who asks is told at once."""


async def findings(
    stage: Stage, client: Client, operator: Client, told: Mapping[UUID, Ending], among: str = ""
) -> list[str]:
    """All that is wrong at a stage whose sagas have ended; `told` is how, as clients heard.

    With `among`, strangers sent messages too: a dead letter counts if it holds that word or the id of a saga.
    """
    found = await stage.unhealthy(REST_S_MAX)
    for service in SERVICES:
        found += await _left(service, client, operator)
    words = [among.encode(), *(str(saga).encode() for saga in told)] if among else [b""]
    found += [
        f"dead letter of {each.service or 'nobody'}: {each.reason}"
        for each in await dead.letters(operator.connection)
        if any(word in each.body for word in words)
    ]
    url = stage.env["HOLDFAST_AUDIT_DATABASE_URL"]
    report = await _swept(url)
    found += [f"audit: {finding}" for finding in report.findings]
    found += [f"audit: {report.in_flight} sagas in flight"] if report.in_flight else []
    return found + list(_broken_words(await audit.read(url), await gifts.kept(stage), told))


async def _swept(url: str) -> audit.Report:
    """The audit's report, once the books say of each deadline that it has passed."""
    loop = asyncio.get_running_loop()
    end = loop.time() + SWEPT_S_MAX
    while True:
        report = await audit.audit(url)
        if not report.in_flight or loop.time() > end:
            return report
        await asyncio.sleep(0.1)


async def _left(service: Service, client: Client, operator: Client) -> list[str]:
    """What the service still has to do after some time to rest, and what keeps it from working."""
    loop = asyncio.get_running_loop()
    end = loop.time() + REST_S_MAX
    while True:
        try:
            status = await client.ask.status(service)
            left = [f"{service}: {problem}" for problem in status.problems]
            left += [f"{service}: {status.outbox_rows} messages in the outbox"] if status.outbox_rows else []
            waiting = await _waiting(operator, service)
            left += [f"{service}: {waiting} messages in its queue"] if waiting else []
        except Unreachable as error:
            left = [f"{service}: {error}"]
        if not left or loop.time() > end:
            return left
        await asyncio.sleep(0.1)


async def _waiting(operator: Client, service: Service) -> int:
    channel = await operator.connection.open_channel()
    try:
        queue = await channel.declare_queue(inbox_queue(service), passive=True)
        return queue.declaration_result.message_count or 0
    finally:
        await operator.connection.drop(channel)


def _broken_words(books: Books, given: Sequence[Gift], told: Mapping[UUID, Ending]) -> Iterator[str]:
    """Endings that a client was told and that are not what the services keep."""
    kept = {each.operation_id: (each.key, each.state, each.delta) for each in books.accounts.operations}
    kept |= {
        each.order_id: (each.account_id, each.state, -each.amount if each.state == "completed" else 0)
        for each in books.orders
    }
    kept |= {each.redemption_id: (each.account_id, each.state, each.added or 0) for each in books.redemptions}
    kept |= {each.gift_id: (each.account_id, each.state, each.added) for each in given}
    for saga, ending in told.items():
        if kept.get(saga) != (ending.account, ending.state, ending.added):
            yield f"saga {saga}: told {ending}, kept {kept.get(saga)}"
