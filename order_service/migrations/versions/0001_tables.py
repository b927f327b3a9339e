"""The tables of the order service."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "attempts",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_table(
        "inbox",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column(
            "handled_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("parked_reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index("inbox_handled_at", "inbox", ["handled_at"], unique=False)
    op.create_index(
        "inbox_parked", "inbox", ["message_id"], unique=False, postgresql_where=sa.text("parked_reason IS NOT NULL")
    )
    op.create_table(
        "items",
        sa.Column("item", sa.String(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("stock", sa.BigInteger(), nullable=False),
        sa.Column("fulfilment", sa.String(), nullable=False),
        sa.CheckConstraint("price > 0", name="items_price_positive"),
        sa.CheckConstraint("stock >= 0", name="items_stock_not_negative"),
        sa.PrimaryKeyConstraint("item"),
    )
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("item", sa.String(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("fulfilment", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("trace", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("order_id"),
    )
    op.create_index(
        "orders_deadline", "orders", ["deadline"], unique=False, postgresql_where=sa.text("deadline IS NOT NULL")
    )
    op.create_index(
        "orders_open",
        "orders",
        ["placed_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('placed', 'reserved', 'confirmed')"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("exchange", sa.String(), nullable=False),
        sa.Column("routing_key", sa.String(), nullable=False),
        sa.Column("content_type", sa.String(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("outbox_created_at", "outbox", ["created_at"], unique=False)


def downgrade() -> None:
    """Drop them, with all they hold."""
    op.drop_index("outbox_created_at", table_name="outbox")
    op.drop_table("outbox")
    op.drop_index(
        "orders_open", table_name="orders", postgresql_where=sa.text("state IN ('placed', 'reserved', 'confirmed')")
    )
    op.drop_index("orders_deadline", table_name="orders", postgresql_where=sa.text("deadline IS NOT NULL"))
    op.drop_table("orders")
    op.drop_table("items")
    op.drop_index("inbox_parked", table_name="inbox", postgresql_where=sa.text("parked_reason IS NOT NULL"))
    op.drop_index("inbox_handled_at", table_name="inbox")
    op.drop_table("inbox")
    op.drop_table("attempts")
