"""The questions about accounts, orders, the catalog, redemptions and promo codes, and their answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from contracts.base import COINS_MAX, AccountId, Audience, Code, Count, Item, Scarce
from contracts.roles import PromoEffect
from holdfast.delivery.queries import Query, Reply
from holdfast.delivery.words import Contract, Service
from holdfast.entities.words import PENDING_SHOWN_MAX, OperationKind, OperationState, PendingView

OrderState = Literal["placed", "reserved", "confirmed", "completed", "failed", "cancelled"]
RedemptionState = Literal["waiting", "claimed", "redeemed", "refused"]
Fulfilment = Literal["instant", "external"]


class AccountView(Contract):
    """An account as its service's database has it now.

    `balance`: coins before the first pending operation. `available`: coins it surely has, whatever becomes of the
    pending ones, an accepted multiply included. `possible`: the most it can have.
    """

    account_id: AccountId
    balance: Count
    available: Count
    possible: Count
    pending: tuple[PendingView, ...] = Field(description=f"The first {PENDING_SHOWN_MAX}, in the account's order.")
    pending_count: Count | None = Field(default=None, description="How many there are in all.")
    now: datetime


class ShowAccount(Query):
    """The account and its pending operations."""

    type: ClassVar[str] = "account.show"
    service: ClassVar[Service] = "user_service"
    reply: ClassVar[Reply] = AccountView

    account_id: AccountId


class LedgerView(Contract):
    """One line of the ledger: what an operation did, in the account's order of arrival."""

    seq: int
    operation_id: UUID
    kind: OperationKind
    state: OperationState
    reason: str | None
    balance_before: int
    balance_after: int
    cause: str = Field(description="The type of the message that settled it, else brought it.")
    at: datetime


class HistoryView(Contract):
    """Ledger lines, the latest first."""

    account_id: AccountId
    lines: tuple[LedgerView, ...]


class ShowHistory(Query):
    """Up to `limit` ledger lines of the account, from before line `before_seq` (None: the latest) backwards."""

    type: ClassVar[str] = "account.history"
    service: ClassVar[Service] = "user_service"
    reply: ClassVar[Reply] = HistoryView

    account_id: AccountId
    before_seq: Annotated[int, Field(ge=1, le=COINS_MAX)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class OperationView(Contract):
    """How an operation stands. `size` as in `PendingView`. `added`: coins that it added, once it has its effect;
    below 0 for what it took.
    """

    account_id: AccountId
    operation_id: UUID
    kind: OperationKind | None
    state: OperationState
    size: int | None
    added: int | None
    reason: str | None


class ShowOperation(Query):
    """One operation of the account."""

    type: ClassVar[str] = "operation.show"
    service: ClassVar[Service] = "user_service"
    reply: ClassVar[Reply] = OperationView

    account_id: AccountId
    operation_id: UUID


class OrderView(Contract):
    """An order as the order service has it. `amount`: its price in coins, None if the item was never known."""

    order_id: UUID
    account_id: AccountId
    item: Item | None
    quantity: int | None
    amount: int | None
    fulfilment: Fulfilment | None
    state: OrderState
    reason: str | None
    deadline: datetime | None


class ShowOrder(Query):
    """One order."""

    type: ClassVar[str] = "order.show"
    service: ClassVar[Service] = "order_service"
    reply: ClassVar[Reply] = OrderView

    order_id: UUID


class ItemView(Contract):
    """An item of the catalog. `price` in coins. `stock`: pieces that no order has, for certain; `possible`: the most
    there can be; both None where pieces are not counted. `pending`: the orders that have or want pieces; left out in a
    list. `now`: the time by which the pending ones have their deadlines.
    """

    item: Item
    price: int
    stock: int | None
    possible: int | None
    fulfilment: Fulfilment
    scarce: Scarce
    pending: tuple[PendingView, ...] = Field(default=(), description=f"The first {PENDING_SHOWN_MAX}, in their order.")
    pending_count: Count = 0
    now: datetime


class CatalogView(Contract):
    """The catalog, by item name."""

    items: tuple[ItemView, ...]


class ShowItem(Query):
    """An item, and the orders that have or want its pieces."""

    type: ClassVar[str] = "item.show"
    service: ClassVar[Service] = "order_service"
    reply: ClassVar[Reply] = ItemView

    item: Item


class ListCatalog(Query):
    """Up to 500 items of the catalog whose name comes after `after_item`."""

    type: ClassVar[str] = "catalog.list"
    service: ClassVar[Service] = "order_service"
    reply: ClassVar[Reply] = CatalogView

    after_item: Item | Literal[""] = ""


class RedemptionView(Contract):
    """A redemption as the promo service has it. `added`: coins it added, once redeemed. `reason`: as announced."""

    redemption_id: UUID
    account_id: AccountId
    state: RedemptionState
    reason: str | None
    added: int | None


class ShowRedemption(Query):
    """One redemption."""

    type: ClassVar[str] = "redemption.show"
    service: ClassVar[Service] = "promo_service"
    reply: ClassVar[Reply] = RedemptionView

    redemption_id: UUID


class PromoView(Contract):
    """A promo code: what it does, and how often it is used. `uses`: those that are certain or in flight. `pending`: the
    redemptions that have or want one of the code's uses and have not ended. One that waits for its own account's use,
    behind an earlier one of that account, wants none of the code's yet and is not among them: `redemption.show` tells
    that it waits. `now`: the time by which the pending ones have their deadlines.
    """

    effect: PromoEffect
    valid_from: datetime | None
    valid_until: datetime | None
    uses_max: int | None
    uses: int
    scarce: Scarce
    pending: tuple[PendingView, ...] = Field(default=(), description=f"The first {PENDING_SHOWN_MAX}, in their order.")
    pending_count: Count = 0
    now: datetime


class ShowPromo(Query):
    """One promo code. For operators: others could find out codes by asking."""

    type: ClassVar[str] = "promo.show"
    service: ClassVar[Service] = "promo_service"
    reply: ClassVar[Reply] = PromoView
    audience: ClassVar[tuple[Audience, ...]] = ("operator",)

    code: Code
