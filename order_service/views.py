"""What the order service answers when it is asked, and the figures it shows."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.base import Contract
from contracts.queries import CatalogView, ItemView, ListCatalog, OrderView, Query, ShowOrder
from messaging.domain import Answerer
from order_service.tables import items, orders


async def show_order(connection: AsyncConnection, query: Query) -> Contract | None:
    """One order."""
    assert isinstance(query, ShowOrder)
    row = (await connection.execute(select(orders).where(orders.c.order_id == query.order_id))).first()
    if row is None:
        return None
    return OrderView(
        order_id=row.order_id,
        account_id=row.account_id,
        item=row.item,
        quantity=row.quantity or None,
        amount=row.amount or None,
        fulfilment=row.fulfilment,
        state=row.state,
        reason=row.reason,
        deadline=row.deadline,
    )


async def list_catalog(connection: AsyncConnection, query: Query) -> Contract:
    """The catalog by name, from after the one named."""
    assert isinstance(query, ListCatalog)
    wanted = select(items).where(items.c.item > query.after_item).order_by(items.c.item).limit(500)
    rows = await connection.execute(wanted)
    return CatalogView(
        items=tuple(
            ItemView(item=row.item, price=row.price, stock=row.stock, fulfilment=row.fulfilment) for row in rows
        )
    )


async def gauges(connection: AsyncConnection) -> Mapping[str, float]:
    """Orders that have not ended, by state, and how long the oldest has been open."""
    rows = await connection.execute(
        text(
            "SELECT state, count(*) AS orders, extract(epoch FROM clock_timestamp() - min(placed_at)) AS oldest_s"
            " FROM orders WHERE state IN ('placed', 'reserved', 'confirmed') GROUP BY state"
        )
    )
    found = {row.state: (row.orders, float(row.oldest_s)) for row in rows}
    figures = {f"orders_{state}": float(found.get(state, (0, 0.0))[0]) for state in ("placed", "reserved", "confirmed")}
    return {**figures, "orders_open_oldest_seconds": max((age for _, age in found.values()), default=0.0)}


ANSWERS: Mapping[type[Query], Answerer] = {ShowOrder: show_order, ListCatalog: list_catalog}
