"""When the user service is asked again about a redemption, and what is needed to ask."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; about redemptions that are open now, the user service is asked again at once.

    The effect is what their code says; they wait for a day, since what they named was not kept.
    """
    op.add_column("redemptions", sa.Column("kind", sa.String(), nullable=True))
    op.add_column("redemptions", sa.Column("size", sa.BigInteger(), nullable=True))
    op.add_column("redemptions", sa.Column("wait_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("redemptions", sa.Column("after", sa.ARRAY(sa.Uuid()), nullable=True))
    op.add_column("redemptions", sa.Column("asks", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("redemptions", sa.Column("ask_again_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE redemptions r SET kind = c.kind, size = c.size, ask_again_at = clock_timestamp(),"
        " wait_until = claimed_at + interval '1 day' FROM codes c WHERE c.code = r.code AND r.state = 'claimed'"
    )
    op.create_index(
        "redemptions_ask_again",
        "redemptions",
        ["ask_again_at"],
        unique=False,
        postgresql_where=sa.text("ask_again_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Forget when to ask again."""
    op.drop_index(
        "redemptions_ask_again", table_name="redemptions", postgresql_where=sa.text("ask_again_at IS NOT NULL")
    )
    for column in ("ask_again_at", "asks", "after", "wait_until", "size", "kind"):
        op.drop_column("redemptions", column)
