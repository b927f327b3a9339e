"""The tables of the promo service's own database."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    func,
    text,
)

from holdfast.delivery.tables import delivery_tables
from holdfast.entities.tables import entity_tables
from promo_service.redemption import MISSES

metadata = MetaData()
delivery = delivery_tables(metadata)
uses = entity_tables(metadata, "uses", "use_of", "count")
"""The uses of each code: by all, under its hash, and by each account, under `<hash>/<account>`."""

MISSED = f"reason IN ({', '.join(repr(each) for each in MISSES)})"
"""Redemptions that count as a miss."""

codes = Table(
    "codes",
    metadata,
    Column("code_hash", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("valid_from", DateTime(timezone=True)),
    Column("valid_until", DateTime(timezone=True)),
    Column("uses_max", BigInteger),
    Column("scarce", String, nullable=False),
)
"""Promo codes, by their hash alone. `size`: the factor of a multiply, the coins of a bonus."""

puts = Table(
    "puts",
    metadata,
    Column("message_id", Uuid, primary_key=True),
    Column("put_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)
"""Every message that put a code, for ever: come again, when the inbox has forgotten it, it would undo later ones."""

redemptions = Table(
    "redemptions",
    metadata,
    Column("redemption_id", Uuid, primary_key=True),
    Column("account_id", String, nullable=False),
    Column("code_hash", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("added", BigInteger),
    Column("claimed_at", DateTime(timezone=True), nullable=False),
    Column("trace", String),
    Column("kind", String),
    Column("size", BigInteger),
    Column("wait_until", DateTime(timezone=True)),
    Column("after", ARRAY(Uuid)),
    Column("asks", Integer, nullable=False, server_default=text("0")),
    Column("ask_again_at", DateTime(timezone=True)),
    Column("uses_max", BigInteger),
    Column("scarce", String, nullable=False),
    Column("revocable", Boolean, nullable=False),
    Column("awaits", String),
    Index("redemptions_ask_again", "ask_again_at", postgresql_where=text("ask_again_at IS NOT NULL")),
    Index("redemptions_awaiting", "code_hash", "account_id", postgresql_where=text("awaits IS NOT NULL")),
    Index("redemptions_missed", "account_id", "claimed_at", postgresql_where=text(MISSED)),
    Index("redemptions_open", "claimed_at", postgresql_where=text("state = 'claimed'")),
)
"""Every redemption, for ever, so that an id is never used twice. `kind` and `size`: its effect."""
