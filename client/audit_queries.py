"""What the audit asks the three databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import asyncpg

from client.audit_pending import OVERDUE_S
from client.audit_rows import CodeRow, Entities, EntityRow, LeftRow, LineRow, OperationRow, OrderRow, RedemptionRow

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Row = TypeVar("Row")

_ENTITIES = {
    "account": ("accounts", "account_id", "balance"),
    "item": ("stock", "item", "pieces"),
    "code": ("uses", "use_of", "count"),
}
"""By what an entity is: its table, and the names of its key and its state."""

_ORDERS = (
    "SELECT order_id, account_id, item, quantity, amount, fulfilment, state, placed_at, counted, taken FROM orders"
)
_CODES = "SELECT code_hash, uses_max FROM codes"
_REDEMPTIONS = "SELECT redemption_id, account_id, code_hash, state, added, claimed_at, kind, size FROM redemptions"
_LEFT = (
    "SELECT count(*), min(created_at) FROM outbox"
    " WHERE created_at < clock_timestamp() - make_interval(secs => $1) HAVING count(*) > 0"
)


async def entities(connection: Connection, of: str) -> Entities:
    """All entities of the service whose database this is."""
    table, key, state = _ENTITIES[of]
    now = await connection.fetchval("SELECT clock_timestamp()")
    rows = f'SELECT "{key}", "{state}", places, lines FROM {table}'  # noqa: S608
    operations = (
        f'SELECT "{key}", operation_id, pending, place, kind, size, state, after, join_by, answer_by, settle_by,'  # noqa: S608
        " deadline, answer, reason, asked_by, arrived_at FROM operations"
    )
    ledger = (
        f'SELECT "{key}", seq, operation_id, kind, size, state, reason, asked_by, "{state}_before", "{state}_after",'  # noqa: S608
        f' at FROM ledger ORDER BY "{key}", seq'
    )
    found = await _rows(connection, EntityRow, rows)
    pending_and_past = await _rows(connection, OperationRow, operations)
    return Entities(of, now, found, pending_and_past, await _rows(connection, LineRow, ledger))


async def orders(connection: Connection) -> tuple[OrderRow, ...]:
    """All orders, from the order service's database."""
    return await _rows(connection, OrderRow, _ORDERS)


async def codes(connection: Connection) -> tuple[CodeRow, ...]:
    """All codes, from the promo service's database."""
    return await _rows(connection, CodeRow, _CODES)


async def redemptions(connection: Connection) -> tuple[RedemptionRow, ...]:
    """All redemptions, from the promo service's database."""
    return await _rows(connection, RedemptionRow, _REDEMPTIONS)


async def left(connection: Connection, service: str) -> tuple[LeftRow, ...]:
    """What the service should have published by now."""
    return tuple([LeftRow(service, *each) for each in await connection.fetch(_LEFT, OVERDUE_S)])


async def _rows(connection: Connection, row: Callable[..., Row], query: str) -> tuple[Row, ...]:
    return tuple([row(*each) async for each in connection.cursor(query, prefetch=5000)])
