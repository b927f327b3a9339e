"""Promo codes are kept as keyed hashes, and an account's codes that were not accepted are found quickly."""

import hmac
import os

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

MISSED = sa.text("reason IN ('unknown_code', 'not_yet_valid', 'no_longer_valid', 'used_up')")


def upgrade() -> None:
    """Hash the codes that are there, with the key that the service has. Two that differ by capitals or dashes fail."""
    connection = op.get_bind()
    found = connection.execute(sa.text("SELECT code FROM codes UNION SELECT code FROM redemptions"))
    codes = [row.code for row in found]
    if codes:
        key = os.environ.get("PROMO_SERVICE_CODE_KEY", "")
        if len(key) < 32:
            raise RuntimeError("set PROMO_SERVICE_CODE_KEY as for the promo service: its database holds codes to hash")
        hashes = [{"was": each, "hash": _hash(key.encode(), each)} for each in codes]
        connection.execute(sa.text("UPDATE codes SET code = :hash WHERE code = :was"), hashes)
        connection.execute(sa.text("UPDATE redemptions SET code = :hash WHERE code = :was"), hashes)
    for table in ("codes", "redemptions"):
        op.alter_column(table, "code", new_column_name="code_hash")
    op.create_index(
        "redemptions_missed", "redemptions", ["account_id", "claimed_at"], unique=False, postgresql_where=MISSED
    )


def _hash(key: bytes, code: str) -> str:
    return hmac.digest(key, code.replace("-", "").upper().encode(), "sha256").hex()


def downgrade() -> None:
    """Name the columns as before. The hashes stay: no code is found again from them, and each must be put anew."""
    op.drop_index("redemptions_missed", table_name="redemptions", postgresql_where=MISSED)
    for table in ("codes", "redemptions"):
        op.alter_column(table, "code_hash", new_column_name="code")
