"""What the order service answers when it is asked, and the figures it shows."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.queries import CatalogView, ItemView, ListCatalog, OrderView, ShowItem, ShowOrder
from holdfast.delivery.domain import Answerer
from holdfast.delivery.queries import Query
from holdfast.delivery.words import Contract
from holdfast.entities.views import pending, pending_gauges
from order_service.stock import free
from order_service.store import keeper
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


class Views:
    """Answers questions about items from what is kept."""

    def __init__(self) -> None:
        self._keeper = keeper()

    async def show_item(self, connection: AsyncConnection, query: Query) -> Contract | None:
        """The item as of now: deadlines that have passed have had their effect."""
        assert isinstance(query, ShowItem)
        row = (await connection.execute(select(items).where(items.c.item == query.item))).first()
        if row is None:
            return None
        now = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
        entity = (await self._keeper.load(connection, {(query.item, None)}, lock=False)).at[query.item]
        entity.pass_time(now)
        pieces, bounds = free(entity), entity.bounds
        return ItemView(
            item=row.item,
            price=row.price,
            stock=pieces if row.counted else None,
            possible=(bounds[1] if bounds else pieces) if row.counted else None,
            fulfilment=row.fulfilment,
            scarce=row.scarce,
            pending=pending(entity),
            pending_count=len(entity),
            now=now,
        )


async def list_catalog(connection: AsyncConnection, query: Query) -> Contract:
    """The catalog by name, from after the one named."""
    assert isinstance(query, ListCatalog)
    rows = await connection.execute(_CATALOG, {"after": query.after_item})
    return CatalogView(
        items=tuple(
            ItemView(
                item=row.item,
                price=row.price,
                stock=row.free if row.counted else None,
                possible=row.possible if row.counted else None,
                fulfilment=row.fulfilment,
                scarce=row.scarce,
                pending_count=row.pending,
                now=row.now,
            )
            for row in rows
        )
    )


_CATALOG = text(
    "SELECT item, price, fulfilment, counted, scarce, pending, clock_timestamp() AS now,"
    " pieces + settled - reserved AS free, pieces + settled AS possible"
    " FROM (SELECT * FROM items WHERE item > :after ORDER BY item LIMIT 500) AS items JOIN stock USING (item)"
    " LEFT JOIN LATERAL (SELECT count(*) AS pending,"
    " CAST(coalesce(sum(CASE state WHEN 'restocked' THEN size WHEN 'captured' THEN -size END), 0) AS bigint)"
    " AS settled,"
    " CAST(coalesce(sum(size) FILTER (WHERE state = 'reserved'), 0) AS bigint) AS reserved"
    " FROM operations WHERE operations.item = items.item AND operations.pending) AS figures ON true ORDER BY item"
)
"""What `show_item` tells, for many items at once: a list does not load what is pending on each of them."""


async def gauges(connection: AsyncConnection) -> Mapping[str, float]:
    """Orders that have not ended, by state, how long the oldest has been open, and what is pending on items."""
    rows = await connection.execute(
        text(
            "SELECT state, count(*) AS orders, extract(epoch FROM clock_timestamp() - min(placed_at)) AS oldest_s"
            " FROM orders WHERE state IN ('placed', 'reserved', 'confirmed') GROUP BY state"
        )
    )
    found = {row.state: (row.orders, float(row.oldest_s)) for row in rows}
    figures = {f"orders_{state}": float(found.get(state, (0, 0.0))[0]) for state in ("placed", "reserved", "confirmed")}
    oldest = max((age for _, age in found.values()), default=0.0)
    return {**figures, "orders_open_oldest_seconds": oldest, **await pending_gauges(connection)}


def answers() -> Mapping[type[Query], Answerer]:
    """What is answered by which."""
    return {ShowOrder: show_order, ShowItem: Views().show_item, ListCatalog: list_catalog}
