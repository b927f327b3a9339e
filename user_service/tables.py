"""The tables of the user service's own database."""

from __future__ import annotations

from sqlalchemy import MetaData

from holdfast.delivery.tables import delivery_tables
from holdfast.entities.tables import entity_tables

metadata = MetaData()
delivery = delivery_tables(metadata)
accounts = entity_tables(metadata, "accounts", "account_id", "balance")
