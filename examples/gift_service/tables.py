"""The tables of the gift service's own database."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, Column, DateTime, Index, Integer, MetaData, String, Table, Uuid, text

from holdfast.delivery.tables import delivery_tables

metadata = MetaData()
delivery = delivery_tables(metadata)

OPEN = "state NOT IN ('completed', 'returned', 'failed', 'cancelled')"
"""Gifts that have not ended."""

gifts = Table(
    "gifts",
    metadata,
    Column("gift_id", Uuid, primary_key=True),
    Column("account_id", String, nullable=False),
    Column("receiver_id", String),
    Column("amount", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("deadline", DateTime(timezone=True)),
    Column("began_at", DateTime(timezone=True), nullable=False),
    Column("trace", String),
    Column("after", ARRAY(Uuid)),
    Column("room_id", Uuid, nullable=False),
    Column("credit_id", Uuid),
    Column("credits", Integer, nullable=False),
    Column("asks", Integer, nullable=False),
    Column("ask_again_at", DateTime(timezone=True)),
    Index("gifts_ask_again", "ask_again_at", postgresql_where=text("ask_again_at IS NOT NULL")),
    Index("gifts_deadline", "deadline", postgresql_where=text("deadline IS NOT NULL")),
    Index("gifts_credit", "credit_id", unique=True),
    Index("gifts_open", "began_at", postgresql_where=text(OPEN)),
    Index("gifts_room", "room_id", unique=True),
)
"""Every gift, for ever, so that an id is never used twice. `room_id`, `credit_id`: by which answers find it."""
