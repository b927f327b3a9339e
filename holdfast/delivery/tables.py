"""The tables that delivery keeps in each service's own database."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Column, DateTime, Index, Integer, LargeBinary, MetaData, String, Table, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB


@dataclass(frozen=True)
class DeliveryTables:
    """`inbox`: ids of messages that were handled, or parked with a reason. `outbox`: messages to publish, deleted once
    the broker confirmed them. `attempts`: how often a redelivered message was begun, so that one that kills its
    service is found.
    """

    inbox: Table
    outbox: Table
    attempts: Table


def delivery_tables(metadata: MetaData) -> DeliveryTables:
    """Declare the delivery tables in a service's metadata."""
    inbox = Table(
        "inbox",
        metadata,
        Column("message_id", Uuid, primary_key=True),
        Column("handled_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
        Column("parked_reason", String),
        Index("inbox_handled_at", "handled_at"),
        Index("inbox_parked", "message_id", postgresql_where=text("parked_reason IS NOT NULL")),
    )
    outbox = Table(
        "outbox",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
        Column("exchange", String, nullable=False),
        Column("routing_key", String, nullable=False),
        Column("content_type", String, nullable=False),
        Column("headers", JSONB, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Index("outbox_created_at", "created_at"),
    )
    attempts = Table(
        "attempts",
        metadata,
        Column("message_id", Uuid, primary_key=True),
        Column("count", Integer, nullable=False),
        Column("begun_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    )
    return DeliveryTables(inbox, outbox, attempts)
