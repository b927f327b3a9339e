"""Keeping orders, the catalog and its stock: one load of all that a batch touches, locked in one order, and one save of
what changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ARRAY, Row, String, Uuid, bindparam, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.delivery.database import moment
from holdfast.entities.entities import Entities, Keeper
from order_service import tables
from order_service.kinds import KINDS
from order_service.order import Item, Order
from order_service.tables import items, orders

_STOCKED = text(
    "SELECT order_id, item FROM orders WHERE order_id = ANY(:ids) AND counted"
    " AND state IN ('placed', 'reserved', 'confirmed')"
).bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_LOCK_ORDERS = text(
    "SELECT order_id, account_id, item, quantity, amount, fulfilment, state, reason, deadline, placed_at, accepted,"
    " trace, after, asks, ask_again_at, counted, taken FROM orders WHERE order_id = ANY(:ids)"
    " ORDER BY order_id FOR UPDATE"
).bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_ITEMS = text("SELECT item, price, fulfilment, counted, scarce FROM items WHERE item = ANY(:names)").bindparams(
    bindparam("names", type_=ARRAY(String))
)


@dataclass
class Orders:
    """The orders, the catalog's items and their stock that a batch touches: as loaded, and as they are now."""

    loaded_orders: dict[UUID, Order]
    loaded_items: dict[str, Item]
    stock: Entities
    orders: dict[UUID, Order] = field(init=False)
    items: dict[str, Item] = field(init=False)

    def __post_init__(self) -> None:
        self.orders, self.items = dict(self.loaded_orders), dict(self.loaded_items)


@dataclass(frozen=True, slots=True)
class Touched:
    """What the messages of a batch are about. `placed`: orders that are placed, with their items. `others`: orders
    about which there is another message. `puts`: items that are put, each with the id of its operation.
    """

    placed: Collection[tuple[UUID, str]]
    others: Collection[UUID]
    puts: Collection[tuple[str, UUID]]


def keeper() -> Keeper:
    """A keeper of stock; it remembers items with many pending operations from batch to batch."""
    return Keeper(tables.stock, KINDS)


async def load(connection: AsyncConnection, keeper: Keeper, touched: Touched) -> Orders:
    """Lock the stock that can change, then these orders and all that wait for pieces of these items.

    Everyone locks stock first, then orders, each in their order, so that no two transactions wait for each other. An
    order that is placed only now wants no pieces yet: its item is read without a lock.
    """
    ids = {*(order_id for order_id, _ in touched.placed), *touched.others}
    operations = {*touched.puts, *((item, order_id) for order_id, item in touched.placed if order_id in touched.others)}
    if ids:
        operations |= {(row.item, row.order_id) for row in await connection.execute(_STOCKED, {"ids": sorted(ids)})}
    while True:
        stock = await keeper.load(connection, operations) if operations else Entities({}, set())
        found: dict[UUID, Order] = {}
        if wanted := sorted(ids | set(_waiting(stock))):
            found = {row.order_id: order(row) for row in await connection.execute(_LOCK_ORDERS, {"ids": wanted})}
        missed = {(each.item, each.id) for each in found.values() if each.is_on_stock and each.item not in stock.at}
        if not missed:
            break
        # Another process has placed them meanwhile.
        operations |= cast(set[tuple[str, UUID]], missed)
    names = {*stock.at, *(item for _, item in touched.placed)}
    catalog = await connection.execute(_ITEMS, {"names": sorted(names)}) if names else ()
    return Orders(found, {row.item: Item(*row) for row in catalog}, stock)


def _waiting(stock: Entities) -> Iterator[UUID]:
    """The orders that wait for pieces."""
    for entity in stock.at.values():
        # Thousands may be in flight where nobody waits.
        for operation in entity if entity.unanswered else ():
            if operation.status == "waiting":
                yield cast(UUID, operation.id)


async def save(connection: AsyncConnection, keeper: Keeper, state: Orders) -> None:
    """Keep what changed.

    What had no row that could be locked is inserted, and nothing else: if another process inserted it meanwhile, the
    unique key says so, and the batch is decided again on what that one did.
    """
    await keeper.save(connection, state.stock)
    changed = [each for key, each in state.orders.items() if state.loaded_orders.get(key) is not each]
    listed = [each for key, each in state.items.items() if state.loaded_items.get(key) is not each]
    if added := [_row(each) for each in changed if each.id not in state.loaded_orders]:
        await connection.execute(insert(orders), added)
    if kept := [_row(each) for each in changed if each.id in state.loaded_orders]:
        await connection.execute(_KEEP_ORDERS, kept)
    if added := [_item_row(each) for each in listed if each.name not in state.loaded_items]:
        await connection.execute(insert(items), added)
    if kept := [_item_row(each) for each in listed if each.name in state.loaded_items]:
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
    """The order that a row of `_LOCK_ORDERS` keeps."""
    values: list[Any] = list(row)
    values[12] = tuple(values[12] or ())
    return Order(*values)


_ORDER_FIELDS = [each.name for each in fields(Order)]
_ITEM_FIELDS = [each.name for each in fields(Item)]


def _row(kept: Order) -> dict[str, Any]:
    values = {name: getattr(kept, name) for name in _ORDER_FIELDS}
    return {"order_id": values.pop("id"), **values, "after": list(kept.after) or None}


def _item_row(kept: Item) -> dict[str, Any]:
    values = {name: getattr(kept, name) for name in _ITEM_FIELDS}
    return {"item": values.pop("name"), **values}


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
            "counted",
            "taken",
        )
    },
)
_INSERT_ITEM = insert(items)
_KEEP_ITEMS = _INSERT_ITEM.on_conflict_do_update(
    index_elements=["item"],
    set_={name: _INSERT_ITEM.excluded[name] for name in ("price", "fulfilment", "counted", "scarce")},
)
