"""What people and their programs ask for. Ids are the sender's: sending a command again does nothing again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from contracts.base import AccountId, After, Audience, Code, Coins, Count, Item, Quantity, Scarce, ShopFact
from contracts.roles import Change, ChangeOf, ChangesBalance, PromoEffect
from holdfast.delivery.words import Exchange, Reason, Seconds, Service


class _Command(ShopFact):
    exchange: ClassVar[Exchange] = "commands"


class OpenAccount(_Command):
    """Open an account with no coins. Opening it again changes nothing."""

    type: ClassVar[str] = "account.open"
    consumers: ClassVar[tuple[Service, ...]] = ("user_service",)
    audience: ClassVar[tuple[Audience, ...]] = ("client",)
    saga_field: ClassVar[str] = "account_id"

    account_id: AccountId


class CreditAccount(_Command, ChangesBalance):
    """Add coins to an account. It can only help what comes after it, so it needs no `after`."""

    type: ClassVar[str] = "account.credit"
    audience: ClassVar[tuple[Audience, ...]] = ("client",)
    saga_field: ClassVar[str] = "credit_id"

    credit_id: UUID
    amount: Coins
    after: After = ()

    @property
    def change(self) -> Change:
        return ChangeOf("credit", self.amount)


Percent = Annotated[int, Field(strict=True, ge=1, le=100, description="Percent of a balance.")]


class ChargeFee(_Command, ChangesBalance):
    """Take `percent` of an account's balance, rounded down. Nothing withdraws it."""

    type: ClassVar[str] = "account.fee"
    audience: ClassVar[tuple[Audience, ...]] = ("operator",)
    saga_field: ClassVar[str] = "fee_id"

    fee_id: UUID
    percent: Percent
    after: After = ()

    @property
    def change(self) -> Change:
        return ChangeOf("fee", self.percent)


class PlaceOrder(_Command):
    """Buy `quantity` of an item, paid by the account, at the catalog's price.

    `deadline_s`: seconds within which the order must be fulfilled; after that it fails and the coins are released.
    """

    type: ClassVar[str] = "order.place"
    consumers: ClassVar[tuple[Service, ...]] = ("order_service",)
    audience: ClassVar[tuple[Audience, ...]] = ("client",)
    saga_field: ClassVar[str] = "order_id"

    order_id: UUID
    account_id: AccountId
    item: Item
    quantity: Quantity = 1
    deadline_s: Seconds | None = None
    after: After = ()


class CancelOrder(_Command):
    """Cancel an order that is not confirmed yet. A cancel that overtakes its order cancels it all the same."""

    type: ClassVar[str] = "order.cancel"
    consumers: ClassVar[tuple[Service, ...]] = ("order_service",)
    audience: ClassVar[tuple[Audience, ...]] = ("client",)
    saga_field: ClassVar[str] = "order_id"

    order_id: UUID
    account_id: AccountId


class RedeemPromo(_Command):
    """Redeem a promo code on an account. Capitals and dashes of the code don't matter.

    `wait_s`: seconds for which the effect may wait for operations ahead of it; after that it is refused and the use of
    the code is given back. Without it nothing withdraws the effect: it is accepted at once, and what it surely gives
    can be spent although its size is not certain yet.
    """

    type: ClassVar[str] = "promo.redeem"
    consumers: ClassVar[tuple[Service, ...]] = ("promo_service",)
    audience: ClassVar[tuple[Audience, ...]] = ("client",)
    saga_field: ClassVar[str] = "redemption_id"
    secret_fields: ClassVar[tuple[str, ...]] = ("code",)

    redemption_id: UUID
    account_id: AccountId
    code: Code
    wait_s: Seconds | None = None
    after: After = ()


class PutItem(_Command):
    """Set an item's price, its stock and how it is fulfilled; the item is added if it is new.

    An order of a counted item has its pieces set aside once its coins are. That fulfils it if the item is `instant`;
    if it is `external`, somebody then answers `fulfilment.requested`. `stock`: the pieces that no order has. None: an
    `instant` item has none, and an `external` one is not counted, since its stock is for others to keep. `scarce`:
    whether who comes when pieces may yet come back waits for them, or is refused at once.
    """

    type: ClassVar[str] = "catalog.put"
    consumers: ClassVar[tuple[Service, ...]] = ("order_service",)
    audience: ClassVar[tuple[Audience, ...]] = ("operator",)
    saga_field: ClassVar[str] = "item"
    subject_field: ClassVar[str] = "item"

    item: Item
    price: Coins
    stock: Count | None = None
    fulfilment: Literal["instant", "external"] = "instant"
    scarce: Scarce = "wait"

    @property
    def pieces(self) -> int | None:
        """The pieces that no order has; None if they are not counted."""
        return 0 if self.stock is None and self.fulfilment == "instant" else self.stock


Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC))]
"""A time that every clock and calendar can show, in whatever zone."""


class PutPromo(_Command):
    """Set what a promo code does, when it is valid and how often it can be used; the code is added if it is new.

    `valid_from` and `valid_until` are compared with the promo service's database clock; the first is included, the
    second is not. `uses_max`: uses over all accounts; each account has one. None means no limit. `scarce`: whether who
    comes when a use may yet come back waits for it, or is refused at once.
    """

    type: ClassVar[str] = "promo.put"
    consumers: ClassVar[tuple[Service, ...]] = ("promo_service",)
    audience: ClassVar[tuple[Audience, ...]] = ("operator",)
    saga_field: ClassVar[str] = "code"
    subject_field: ClassVar[str] = "code"
    secret_fields: ClassVar[tuple[str, ...]] = ("code",)

    code: Code
    effect: PromoEffect
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    uses_max: Coins | None = None
    scarce: Scarce = "wait"

    @model_validator(mode="after")
    def _window_is_not_empty(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            raise ValueError("valid_until must be later than valid_from")
        return self


class FulfilmentAccepted(_Command):
    """Whoever fulfils the order has the goods and commits to them."""

    type: ClassVar[str] = "fulfilment.accepted"
    consumers: ClassVar[tuple[Service, ...]] = ("order_service",)
    audience: ClassVar[tuple[Audience, ...]] = ("operator",)
    saga_field: ClassVar[str] = "order_id"
    subject_field: ClassVar[str] = "order_id"

    order_id: UUID


class FulfilmentRejected(_Command):
    """Whoever fulfils the order cannot; the order fails with this reason."""

    type: ClassVar[str] = "fulfilment.rejected"
    consumers: ClassVar[tuple[Service, ...]] = ("order_service",)
    audience: ClassVar[tuple[Audience, ...]] = ("operator",)
    saga_field: ClassVar[str] = "order_id"
    subject_field: ClassVar[str] = "order_id"

    order_id: UUID
    reason: Reason = "rejected"
