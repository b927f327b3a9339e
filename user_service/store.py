"""Keeping accounts: `holdfast.entities.entities` on the user service's tables and kinds."""

from __future__ import annotations

from holdfast.entities.entities import Keeper
from user_service.kinds import KINDS
from user_service.tables import accounts


def keeper() -> Keeper:
    """A keeper of accounts; it remembers those with many pending operations from batch to batch."""
    return Keeper(accounts, KINDS)
