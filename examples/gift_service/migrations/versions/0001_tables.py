"""The tables of the gift service."""

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
        "gifts",
        sa.Column("gift_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("receiver_id", sa.String(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trace", sa.String(), nullable=True),
        sa.Column("after", sa.ARRAY(sa.Uuid()), nullable=True),
        sa.Column("room_id", sa.Uuid(), nullable=False),
        sa.Column("credit_id", sa.Uuid(), nullable=True),
        sa.Column("credits", sa.Integer(), nullable=False),
        sa.Column("asks", sa.Integer(), nullable=False),
        sa.Column("ask_again_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("gift_id"),
    )
    op.create_index(
        "gifts_ask_again", "gifts", ["ask_again_at"], unique=False, postgresql_where=sa.text("ask_again_at IS NOT NULL")
    )
    op.create_index("gifts_credit", "gifts", ["credit_id"], unique=True)
    op.create_index(
        "gifts_deadline", "gifts", ["deadline"], unique=False, postgresql_where=sa.text("deadline IS NOT NULL")
    )
    op.create_index(
        "gifts_open",
        "gifts",
        ["began_at"],
        unique=False,
        postgresql_where=sa.text("state NOT IN ('completed', 'returned', 'failed', 'cancelled')"),
    )
    op.create_index("gifts_room", "gifts", ["room_id"], unique=True)
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


def downgrade() -> None:
    """Drop them, with all they hold."""
    op.drop_table("outbox")
    op.drop_table("inbox")
    op.drop_table("gifts")
    op.drop_table("attempts")
