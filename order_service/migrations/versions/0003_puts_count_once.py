"""The messages that put items, which the inbox forgets in time."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table. Those from before stay known for as long as the inbox remembers them."""
    op.create_table(
        "puts",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("put_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("message_id"),
    )


def downgrade() -> None:
    """Forget them."""
    op.drop_table("puts")
