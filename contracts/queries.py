"""Questions to a service and their answers: JSON request and reply over the broker, outside of any saga.

A request goes to the exchange `queries` with its type as routing key and the asker's own reply queue in `reply_to`;
the answer goes to the exchange `replies` with that queue's name as routing key and the request's correlation id.
A question about something unknown is answered with `null`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from contracts.base import COINS_MAX, AccountId, Audience, Code, Contract, Count, Item, Scarce, Service
from contracts.events import OperationKind
from contracts.roles import PromoEffect

OperationState = Annotated[
    str,
    Field(
        description="`outside` (those in `after` have not come), `waiting`, `accepted` (it waits, and takes effect for "
        "certain), `reserved`, `refused`, how a reservation ended (`captured`, `released`, `expired`), or what it did "
        "(`credited`, `multiplied`, …)."
    ),
]
OrderState = Literal["placed", "reserved", "confirmed", "completed", "failed", "cancelled"]
RedemptionState = Literal["waiting", "claimed", "redeemed", "refused"]
Fulfilment = Literal["instant", "external"]
Reply = type[Contract]

PENDING_SHOWN_MAX = 200
"""An account with more pending operations shows the first: a reply is one message, and nobody reads thousands."""


class Query(Contract):
    """A question, answered with a `reply` (or null) by `service`, or by each service where it has none.

    `audience`: who may ask it.
    """

    type: ClassVar[str]
    service: ClassVar[Service]
    reply: ClassVar[Reply]
    audience: ClassVar[tuple[Audience, ...]] = ("client", "operator")


class PendingView(Contract):
    """An operation of an account, an item or a code that is open, or settled behind one that is open."""

    operation_id: UUID
    kind: OperationKind | None
    state: OperationState
    size: int | None = Field(description="Coins, pieces or uses; the factor of a multiply.")
    deadline: datetime | None = Field(description="When it ends or is answered at the latest by its own deadline.")
    waits_for: tuple[UUID, ...] = Field(description="The first of the open operations before it, if it waits.")
    waits_until: datetime | None = Field(description="When it is answered at the latest, if it waits.")


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


class OutcomeView(Contract):
    """What became of a message: `handled`, `parked` in the dead-letter queue with a reason, or `unknown` so far."""

    outcome: Literal["handled", "parked", "unknown"]
    reason: str | None = None


class StatusView(Contract):
    """A service instance as it sees itself. Ages in seconds; `url` serves /health, /metrics and /asyncapi.

    `parked`: messages put in the dead-letter queue, within the time that the inbox remembers, and not handled since.
    """

    service: str
    instance: str
    version: str
    url: str
    healthy: bool
    problems: tuple[str, ...]
    outbox_rows: int
    outbox_oldest_s: float
    parked: int
    gauges: dict[str, float]


class ShowStatus(Query):
    """How the instance that happens to answer is doing. `service` names the one that is asked."""

    type: ClassVar[str] = "status"
    reply: ClassVar[Reply] = StatusView


class ShowOutcome(Query):
    """What became of a message that was sent to the service."""

    type: ClassVar[str] = "outcome"
    reply: ClassVar[Reply] = OutcomeView

    message_id: UUID


EVERY_SERVICE_QUERIES: dict[str, type[Query]] = {query.type: query for query in (ShowStatus, ShowOutcome)}
"""The questions that every service answers; the routing key is `<service>.<type>`."""


def parse_reply(query: Query, body: Any) -> Contract | None:
    """The answer to `query`, or None where what it asks about is unknown."""
    return None if body is None else query.reply.model_validate(body)
