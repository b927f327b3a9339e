"""The words that this shop's messages are made of: ids, amounts, and what each is about."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import FailFast, Field

from holdfast.delivery.words import Fact, Name

COINS_MAX = 2**53 - 1
"""The largest balance or amount, in coins: the largest integer that every JSON reader keeps exact (RFC 8259, 6)."""

AFTER_MAX = 256
"""How many earlier commands one command may name in `after`."""

Audience = Literal["client", "operator"]

AccountId = Annotated[Name, Field(description="The account, as its owner names it.")]
Item = Annotated[Name, Field(description="The catalog's name of the goods.")]
Code = Annotated[Name, Field(description="The promo code, in capitals or not, with its dashes or without.")]
Coins = Annotated[int, Field(strict=True, ge=1, le=COINS_MAX, description="Whole coins, at least 1.")]
Count = Annotated[int, Field(strict=True, ge=0, le=COINS_MAX)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Factor = Annotated[int, Field(strict=True, ge=2, le=1_000, description="What the balance is multiplied by.")]
Scarce = Literal["wait", "refuse"]
After = Annotated[
    tuple[UUID, ...],
    FailFast(),
    Field(
        max_length=AFTER_MAX,
        description="Ids of earlier commands for this account: this one joins the account's operations when they have. "
        "If one of them does not come in time, this one is refused (`named_missing`).",
    ),
]


class ShopFact(Fact):
    """A command or an event of this shop: about an account, unless its class says otherwise."""

    subject_field: ClassVar[str] = "account_id"
