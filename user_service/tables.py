"""The tables of the user service's own database."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Uuid,
    func,
    text,
)

from messaging.tables import delivery_tables

metadata = MetaData()
delivery = delivery_tables(metadata)

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", String, primary_key=True),
    Column("balance", BigInteger, nullable=False),
    CheckConstraint("balance >= 0", name="accounts_balance_not_negative"),
    Column("places", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)

operations = Table(
    "operations",
    metadata,
    Column("account_id", String, nullable=False),
    Column("operation_id", Uuid, nullable=False),
    Column("pending", Boolean, nullable=False),
    Column("place", BigInteger, nullable=False),
    Column("kind", String),
    Column("size", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("deadline", DateTime(timezone=True)),
    Column("delta", BigInteger, nullable=False),
    Column("reason", String),
    Column("cause", String, nullable=False),
    Column("trace", String),
    Column("arrived_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    PrimaryKeyConstraint("account_id", "operation_id"),
    Index("operations_pending", "account_id", "place", postgresql_where=text("pending")),
    Index("operations_deadline", "deadline", postgresql_where=text("deadline IS NOT NULL")),
)
"""Every operation, for ever: the pending ones are the accounts' logs, the others answer a repeated command."""

ledger = Table(
    "ledger",
    metadata,
    Column("account_id", String, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("operation_id", Uuid, nullable=False),
    Column("kind", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("cause", String, nullable=False),
    Column("balance_before", BigInteger, nullable=False),
    Column("balance_after", BigInteger, nullable=False),
    CheckConstraint("balance_after >= 0", name="ledger_balance_not_negative"),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    PrimaryKeyConstraint("account_id", "seq"),
    Index("ledger_operation", "account_id", "operation_id", unique=True),
)
"""What each operation did, in the account's order. Rows are only ever added; a trigger refuses anything else."""
