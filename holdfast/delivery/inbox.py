"""The inbox: each message id is handled once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ARRAY, Boolean, String, Uuid, bindparam, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.delivery.database import moment
from holdfast.delivery.tables import DeliveryTables

FORGET_MAX = 10_000
"""Rows deleted at a time: a statement that takes too long is given up, and would be again."""

_RECEIVE = text(
    "WITH fresh AS ("
    "  INSERT INTO inbox (message_id) SELECT unnest(:ids)"
    "  ON CONFLICT (message_id) DO UPDATE SET parked_reason = NULL, handled_at = clock_timestamp()"
    "  WHERE inbox.parked_reason IS NOT NULL AND :parked_too"
    "  RETURNING message_id"
    ") SELECT clock_timestamp(), array(SELECT message_id FROM fresh)"
).bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("parked_too", type_=Boolean))

_PARK = text(
    "UPDATE inbox SET parked_reason = reason FROM unnest(:ids, :reasons) AS parked (id, reason) WHERE message_id = id"
).bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("reasons", type_=ARRAY(String)))

_UNPARK = text("UPDATE inbox SET parked_reason = NULL WHERE message_id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)

_END_ATTEMPTS = text("DELETE FROM attempts WHERE message_id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)


async def receive(connection: AsyncConnection, ids: Sequence[UUID], parked_too: bool) -> tuple[datetime, set[UUID]]:
    """Note these messages as handled. Returns the database's time, and the ids that were not handled before.

    With `parked_too`, a message that was parked counts as not handled, so that it can be replayed.
    """
    now, fresh = (await connection.execute(_RECEIVE, {"ids": sorted(set(ids)), "parked_too": parked_too})).one()
    return now, set(fresh)


async def park(connection: AsyncConnection, reasons: dict[UUID, str]) -> None:
    """Note that these messages went to the dead-letter queue, and why."""
    if reasons:
        await connection.execute(_PARK, {"ids": list(reasons), "reasons": list(reasons.values())})


async def unpark(connection: AsyncConnection, ids: Sequence[UUID]) -> None:
    """What could not be read under these ids was replayed, and can be read now."""
    await connection.execute(_UNPARK, {"ids": list(ids)})


async def begin_attempt(
    connection: AsyncConnection, tables: DeliveryTables, ids: Sequence[UUID], below: int | None = None
) -> dict[UUID, int]:
    """Count one more attempt at each of these redelivered messages; returns the counts, this one included.

    With `below`, those that were begun so often already are not counted, and not returned.
    """
    statement = insert(tables.attempts).values([{"message_id": each, "count": 1} for each in sorted(set(ids))])
    statement = statement.on_conflict_do_update(
        index_elements=["message_id"],
        set_={"count": tables.attempts.c.count + 1},
        where=None if below is None else tables.attempts.c.count < below,
    )
    rows = await connection.execute(statement.returning(tables.attempts.c.message_id, tables.attempts.c.count))
    return {row["message_id"]: row["count"] for row in rows.mappings()}


async def end_attempts(connection: AsyncConnection, ids: Sequence[UUID]) -> None:
    """Forget the attempts at messages that are done with."""
    await connection.execute(_END_ATTEMPTS, {"ids": list(ids)})


async def outcome(
    connection: AsyncConnection, tables: DeliveryTables, key: UUID, key_unreadable: UUID
) -> tuple[bool, str | None]:
    """Whether the message was taken, and the reason if it was parked; for what could not be read, if nothing that can
    be read came under its id.
    """
    inbox = tables.inbox
    rows = await connection.execute(
        select(inbox.c.message_id, inbox.c.parked_reason).where(inbox.c.message_id.in_((key, key_unreadable)))
    )
    reasons: dict[UUID, str | None] = {row.message_id: row.parked_reason for row in rows}
    return bool(reasons), reasons.get(key) if key in reasons else reasons.get(key_unreadable)


async def forget(connection: AsyncConnection, tables: DeliveryTables, older_than_s: float) -> int:
    """Delete what was handled or parked longer ago than `older_than_s` seconds, the oldest `FORGET_MAX` of it. Returns
    how many.
    """
    limit, inbox = moment() - timedelta(seconds=older_than_s), tables.inbox
    oldest = select(inbox.c.message_id).where(inbox.c.handled_at < limit).order_by(inbox.c.handled_at).limit(FORGET_MAX)
    rows = await connection.execute(delete(inbox).where(inbox.c.message_id.in_(oldest)))
    await connection.execute(delete(tables.attempts).where(tables.attempts.c.begun_at < limit))
    return rows.rowcount
