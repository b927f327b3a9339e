"""The tables of the user service's own database."""

from __future__ import annotations

from sqlalchemy import MetaData

from messaging.entity_tables import entity_tables
from messaging.tables import delivery_tables

metadata = MetaData()
delivery = delivery_tables(metadata)
accounts = entity_tables(metadata, "accounts", "account_id", "balance")
