"""What the user service sends itself."""

from __future__ import annotations

from typing import ClassVar

from contracts.base import AccountId, ShopFact
from holdfast.delivery.words import Exchange


class DeadlinePassed(ShopFact):
    """A deadline of one of the account's operations has passed."""

    type: ClassVar[str] = "deadline.passed"
    exchange: ClassVar[Exchange] = "user"
    saga_field: ClassVar[str] = "account_id"

    account_id: AccountId
