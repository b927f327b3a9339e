"""The tables of the order service's own database."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    text,
)

from holdfast.delivery.tables import delivery_tables
from holdfast.entities.tables import entity_tables

metadata = MetaData()
delivery = delivery_tables(metadata)
stock = entity_tables(metadata, "stock", "item", "pieces")
"""The pieces of each item. An order's operation has the order's id. That of a put has the id of its message, for ever:
again, when the inbox has forgotten it, it would undo later ones.
"""

items = Table(
    "items",
    metadata,
    Column("item", String, primary_key=True),
    Column("price", BigInteger, nullable=False),
    CheckConstraint("price > 0", name="items_price_positive"),
    Column("fulfilment", String, nullable=False),
    Column("counted", Boolean, nullable=False),
    Column("scarce", String, nullable=False),
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("account_id", String, nullable=False),
    Column("item", String),
    Column("quantity", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("fulfilment", String),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("deadline", DateTime(timezone=True)),
    Column("placed_at", DateTime(timezone=True), nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("trace", String),
    Column("after", ARRAY(Uuid)),
    Column("asks", Integer, nullable=False, server_default=text("0")),
    Column("ask_again_at", DateTime(timezone=True)),
    Column("counted", Boolean, nullable=False),
    Column("taken", Boolean, nullable=False),
    Index("orders_ask_again", "ask_again_at", postgresql_where=text("ask_again_at IS NOT NULL")),
    Index("orders_deadline", "deadline", postgresql_where=text("deadline IS NOT NULL")),
    Index("orders_open", "placed_at", postgresql_where=text("state IN ('placed', 'reserved', 'confirmed')")),
)
"""Every order, for ever, so that an id is never used twice."""
