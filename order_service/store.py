"""Keeping orders and stock: one load of all that a batch touches, locked in key order, and one save of what changed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, String, Uuid, bindparam, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.database import moment
from order_service.order import Item, Order
from order_service.tables import items, orders, puts

_LOCK_ORDERS = text(
    "SELECT order_id, account_id, item, quantity, amount, fulfilment, state, reason, deadline, placed_at, accepted,"
    " trace, after, asks, ask_again_at FROM orders WHERE order_id = ANY(:ids) ORDER BY order_id FOR UPDATE"
).bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_LOCK_ITEMS = text(
    "SELECT item, price, stock, fulfilment FROM items WHERE item = ANY(:names) ORDER BY item FOR UPDATE"
).bindparams(bindparam("names", type_=ARRAY(String)))
_KNOWN_PUTS = text("SELECT message_id FROM puts WHERE message_id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)


@dataclass
class Orders:
    """The orders and items that a batch touches: as loaded, and as they are now.

    `puts`: the messages of the batch that have put an item, before or in it.
    """

    loaded_orders: dict[UUID, Order]
    loaded_items: dict[str, Item]
    orders: dict[UUID, Order]
    items: dict[str, Item]
    loaded_puts: frozenset[UUID] = frozenset()
    puts: set[UUID] = field(default_factory=set)


async def load(
    connection: AsyncConnection, order_ids: Collection[UUID], item_names: Collection[str], put_ids: Collection[UUID]
) -> Orders:
    """Lock these orders and items, and the items of these orders; find which of these puts are known."""
    rows = await connection.execute(_LOCK_ORDERS, {"ids": sorted(order_ids)})
    found = {row.order_id: order(row) for row in rows}
    names = {*item_names, *(each.item for each in found.values() if each.item)}
    stocked: dict[str, Item] = {}
    if names:
        rows = await connection.execute(_LOCK_ITEMS, {"names": sorted(names)})
        stocked = {row.item: Item(row.item, row.price, row.stock, row.fulfilment) for row in rows}
    known: frozenset[UUID] = frozenset()
    if put_ids:
        known = frozenset((await connection.execute(_KNOWN_PUTS, {"ids": sorted(put_ids)})).scalars())
    return Orders(found, stocked, dict(found), dict(stocked), known, set(known))


async def save(connection: AsyncConnection, state: Orders) -> None:
    """Keep what changed.

    What had no row that could be locked is inserted, and nothing else: if another process inserted it meanwhile, the
    unique key says so, and the batch is decided again on what that one did.
    """
    if put := [{"message_id": each} for each in sorted(state.puts - state.loaded_puts)]:
        await connection.execute(insert(puts), put)
    changed = [each for key, each in state.orders.items() if state.loaded_orders.get(key) is not each]
    stocked = [each for key, each in state.items.items() if state.loaded_items.get(key) is not each]
    if added := [_row(each) for each in changed if each.id not in state.loaded_orders]:
        await connection.execute(insert(orders), added)
    if kept := [_row(each) for each in changed if each.id in state.loaded_orders]:
        await connection.execute(_KEEP_ORDERS, kept)
    if added := [_item_row(each) for each in stocked if each.name not in state.loaded_items]:
        await connection.execute(insert(items), added)
    if kept := [_item_row(each) for each in stocked if each.name in state.loaded_items]:
        await connection.execute(_KEEP_ITEMS, kept)


async def due(connection: AsyncConnection, limit: int) -> list[UUID]:
    """Orders whose deadline has passed, the longest ago first."""
    rows = await connection.execute(
        select(orders.c.order_id)
        .where(orders.c.deadline <= moment())
        .order_by(orders.c.deadline, orders.c.order_id)
        .limit(limit)
    )
    return list(rows.scalars())


async def unanswered(connection: AsyncConnection, limit: int) -> list[UUID]:
    """Orders about which the user service is to be asked again, the longest overdue first."""
    rows = await connection.execute(
        select(orders.c.order_id)
        .where(orders.c.ask_again_at <= moment())
        .order_by(orders.c.ask_again_at, orders.c.order_id)
        .limit(limit)
    )
    return list(rows.scalars())


def order(row: Row[Any]) -> Order:
    """The order that a row keeps."""
    return Order(
        row.order_id,
        row.account_id,
        row.item,
        row.quantity,
        row.amount,
        row.fulfilment,
        row.state,
        row.reason,
        row.deadline,
        row.placed_at,
        row.accepted,
        row.trace,
        tuple(row.after or ()),
        row.asks,
        row.ask_again_at,
    )


def _row(kept: Order) -> dict[str, Any]:
    values = {each.name: getattr(kept, each.name) for each in fields(kept)}
    return {"order_id": values.pop("id"), **values, "after": list(kept.after) or None}


def _item_row(kept: Item) -> dict[str, Any]:
    return {"item": kept.name, "price": kept.price, "stock": kept.stock, "fulfilment": kept.fulfilment}


_INSERT_ORDER = insert(orders)
_KEEP_ORDERS = _INSERT_ORDER.on_conflict_do_update(
    index_elements=["order_id"],
    set_={
        name: _INSERT_ORDER.excluded[name]
        for name in (
            "account_id",
            "item",
            "quantity",
            "amount",
            "fulfilment",
            "state",
            "reason",
            "deadline",
            "placed_at",
            "accepted",
            "after",
            "asks",
            "ask_again_at",
        )
    },
)
_INSERT_ITEM = insert(items)
_KEEP_ITEMS = _INSERT_ITEM.on_conflict_do_update(
    index_elements=["item"],
    set_={name: _INSERT_ITEM.excluded[name] for name in ("price", "stock", "fulfilment")},
)
