"""When the user service is asked again about an order, and what is needed to ask."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; about orders that are open now, the user service is asked again at once."""
    op.add_column("orders", sa.Column("after", sa.ARRAY(sa.Uuid()), nullable=True))
    op.add_column("orders", sa.Column("asks", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("orders", sa.Column("ask_again_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE orders SET ask_again_at = clock_timestamp() WHERE state IN ('placed', 'confirmed')")
    op.create_index(
        "orders_ask_again",
        "orders",
        ["ask_again_at"],
        unique=False,
        postgresql_where=sa.text("ask_again_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Forget when to ask again."""
    op.drop_index("orders_ask_again", table_name="orders", postgresql_where=sa.text("ask_again_at IS NOT NULL"))
    op.drop_column("orders", "ask_again_at")
    op.drop_column("orders", "asks")
    op.drop_column("orders", "after")
