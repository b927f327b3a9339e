"""The tables of the promo service."""

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
        "codes",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("uses_max", sa.BigInteger(), nullable=True),
        sa.Column("uses", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("uses >= 0", name="codes_uses_not_negative"),
        sa.PrimaryKeyConstraint("code"),
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
    op.create_table(
        "redemptions",
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("added", sa.BigInteger(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trace", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("redemption_id"),
    )
    op.create_index(
        "redemptions_once_per_account",
        "redemptions",
        ["code", "account_id"],
        unique=True,
        postgresql_where=sa.text("state <> 'refused'"),
    )
    op.create_index(
        "redemptions_open", "redemptions", ["claimed_at"], unique=False, postgresql_where=sa.text("state = 'claimed'")
    )


def downgrade() -> None:
    """Drop them, with all they hold."""
    op.drop_index("redemptions_open", table_name="redemptions", postgresql_where=sa.text("state = 'claimed'"))
    op.drop_index(
        "redemptions_once_per_account", table_name="redemptions", postgresql_where=sa.text("state <> 'refused'")
    )
    op.drop_table("redemptions")
    op.drop_index("outbox_created_at", table_name="outbox")
    op.drop_table("outbox")
    op.drop_index("inbox_parked", table_name="inbox", postgresql_where=sa.text("parked_reason IS NOT NULL"))
    op.drop_index("inbox_handled_at", table_name="inbox")
    op.drop_table("inbox")
    op.drop_table("codes")
    op.drop_table("attempts")
