"""The outbox: what a transaction announces is written with it, published after it, and deleted once confirmed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, Uuid, bindparam, func, insert, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.delivery.envelope import pack
from holdfast.delivery.message import Announcement, Message, Origin, Unreadable, announce, printable
from holdfast.delivery.names import DEAD_EXCHANGE
from holdfast.delivery.tables import DeliveryTables

BYTES_PER_MESSAGE = 512 * 1024
"""Keeps a message well under the largest body that is read."""
CONTENT_TYPE_BYTES_MAX = 255
"""What AMQP has room for. What a stranger sent may be longer once it is made printable."""

_FORGET = text("DELETE FROM outbox WHERE id = ANY(:ids)").bindparams(bindparam("ids", type_=ARRAY(Uuid)))


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish. `required`: somebody must be bound to it, so that it is an error if nobody is."""

    id: UUID
    exchange: str
    routing_key: str
    content_type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def required(self) -> bool:
        """Whether the publish fails when nobody is bound: unless no service takes what has this routing key."""
        return "terminal" not in self.headers


def outgoing(
    announcements: Sequence[tuple[Announcement, Message]],
    source: str,
    now: datetime,
    taken: Collection[tuple[str, str]],
) -> list[Outgoing]:
    """The messages that carry what one transaction announced: one for each routing key.

    `taken`: the exchanges and routing keys that a queue is bound by; what goes by another may reach nobody.
    """
    exchanges = {each.fact.routing_key: each.fact.exchange for each, _ in announcements}
    messages: list[Outgoing] = []
    for key, envelopes in announce(announcements, source, now).items():
        headers = {} if (exchanges[key], key) in taken else {"terminal": "true"}
        messages += [
            Outgoing(uuid4(), exchanges[key], key, content_type, body, headers)
            for content_type, body in pack(envelopes, BYTES_PER_MESSAGE)
        ]
    return messages


def dead_letter(service: str, parked: Unreadable, origin: Origin, now: datetime) -> Outgoing:
    """The message that parks what could not be handled, with the reason and where it came from."""
    headers = {
        "reason": parked.reason[:1000],
        "exchange": printable(origin.exchange),
        "routing_key": printable(origin.routing_key),
        "parked_at": now.isoformat(),
    }
    content_type = parked.content_type.encode()[:CONTENT_TYPE_BYTES_MAX].decode(errors="ignore")
    return Outgoing(uuid4(), DEAD_EXCHANGE, service, content_type, parked.body, headers)


async def keep(connection: AsyncConnection, tables: DeliveryTables, messages: Sequence[Outgoing]) -> None:
    """Write the messages with the transaction that announces them."""
    if messages:
        await connection.execute(
            insert(tables.outbox),
            [
                {
                    "id": each.id,
                    "exchange": each.exchange,
                    "routing_key": each.routing_key,
                    "content_type": each.content_type,
                    "headers": each.headers,
                    "body": each.body,
                }
                for each in messages
            ],
        )


@dataclass(frozen=True, slots=True)
class Left:
    """A message that was left in the outbox, and when it was put there."""

    message: Outgoing
    created_at: datetime


async def left_behind(
    connection: AsyncConnection,
    tables: DeliveryTables,
    older_than_s: float,
    last: Left | None,
    except_for: Collection[UUID],
    limit: int,
) -> list[Left]:
    """Messages older than `older_than_s` seconds that nobody else is publishing, the oldest first, locked.

    `last`: the one after which to go on. Without an age all count, also those of a time that the database's clock has
    not come to yet, since it was set back.
    """
    table = tables.outbox
    wanted = (
        select(table)
        .where(table.c.id.not_in(list(except_for)))
        .order_by(table.c.created_at, table.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if older_than_s:
        wanted = wanted.where(table.c.created_at < func.clock_timestamp() - timedelta(seconds=older_than_s))
    if last:
        wanted = wanted.where(tuple_(table.c.created_at, table.c.id) > (last.created_at, last.message.id))
    return [
        Left(Outgoing(row.id, row.exchange, row.routing_key, row.content_type, row.body, row.headers), row.created_at)
        for row in await connection.execute(wanted)
    ]


async def forget(connection: AsyncConnection, ids: Sequence[UUID]) -> None:
    """Delete messages that the broker confirmed."""
    await connection.execute(_FORGET, {"ids": list(ids)})


async def backlog(connection: AsyncConnection, tables: DeliveryTables) -> tuple[int, float]:
    """How many messages wait to be published, and the age of the oldest in seconds."""
    oldest = func.coalesce(func.extract("epoch", func.clock_timestamp() - func.min(tables.outbox.c.created_at)), 0)
    count, age = (await connection.execute(select(func.count(), oldest).select_from(tables.outbox))).one()
    return count, float(age)
