"""What the services announce. An event is announced once its transaction is committed, and at least once."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.base import (
    AccountId,
    After,
    Coins,
    Count,
    Exchange,
    Fact,
    Factor,
    Item,
    Quantity,
    Reason,
    Seconds,
    Service,
)
from contracts.commands import PromoEffect

WAITS_FOR_MAX = 20
"""How many of the operations that another waits for are told."""

OperationKind = Literal["credit", "reserve", "multiply", "bonus"]


class _UserEvent(Fact):
    exchange: ClassVar[Exchange] = "user"
    saga_field: ClassVar[str] = "operation_id"


class AccountOpened(Fact):
    """The account exists."""

    type: ClassVar[str] = "account.opened"
    exchange: ClassVar[Exchange] = "user"
    saga_field: ClassVar[str] = "account_id"

    account_id: AccountId


class CoinsCredited(_UserEvent):
    """The coins were added: a credit, or the bonus of a promo code."""

    type: ClassVar[str] = "coins.credited"
    consumers: ClassVar[tuple[Service, ...]] = ("promo_service",)

    account_id: AccountId
    operation_id: UUID
    kind: Literal["credit", "bonus"]
    amount: Coins


class CoinsReserved(_UserEvent):
    """The coins are set aside for the order until it settles or the deadline passes."""

    type: ClassVar[str] = "coins.reserved"
    consumers: ClassVar[tuple[Service, ...]] = ("order_service",)

    account_id: AccountId
    operation_id: UUID
    amount: Coins
    deadline: AwareDatetime


class CoinsRefused(_UserEvent):
    """The operation has no effect, now or later.

    Reasons: `insufficient_coins`, `unknown_account`, `balance_limit` (the balance could exceed the largest one),
    `pending_limit` (too many operations wait or are in flight), `wait_deadline_passed`, `cancelled`, `order_failed`,
    `promo_refused`, `id_used` (the account has used the id for another operation).
    """

    type: ClassVar[str] = "coins.refused"
    identity_fields: ClassVar[tuple[str, ...]] = ("kind",)
    consumers: ClassVar[tuple[Service, ...]] = ("order_service", "promo_service")

    account_id: AccountId
    operation_id: UUID
    kind: OperationKind
    reason: Reason


class CoinsCaptured(_UserEvent):
    """The reserved coins are spent. Nothing of this saga can fail any more."""

    type: ClassVar[str] = "coins.captured"
    consumers: ClassVar[tuple[Service, ...]] = ("order_service",)

    account_id: AccountId
    operation_id: UUID
    amount: Coins


class CoinsReleased(_UserEvent):
    """The reserved coins are the account's again, because the order failed or was cancelled."""

    type: ClassVar[str] = "coins.released"
    consumers: ClassVar[tuple[Service, ...]] = ("order_service",)

    account_id: AccountId
    operation_id: UUID
    amount: Coins


class CoinsExpired(_UserEvent):
    """The reservation's deadline passed: the coins are the account's again, and a capture is refused."""

    type: ClassVar[str] = "coins.expired"
    consumers: ClassVar[tuple[Service, ...]] = ("order_service",)

    account_id: AccountId
    operation_id: UUID
    amount: Coins


class CoinsMultiplied(_UserEvent):
    """The balance was multiplied, which added this many coins."""

    type: ClassVar[str] = "coins.multiplied"
    consumers: ClassVar[tuple[Service, ...]] = ("promo_service",)

    account_id: AccountId
    operation_id: UUID
    factor: Factor
    added: Count


class OperationWaiting(_UserEvent):
    """The operation's answer still depends on how others end.

    `position`: how many operations of the account stand before it, each open or not yet folded. `waits_for`: the first
    of them that are open, in order. `deadline`: when it will be answered at the latest.
    """

    type: ClassVar[str] = "operation.waiting"

    account_id: AccountId
    operation_id: UUID
    kind: OperationKind
    position: Count
    waits_for: Annotated[tuple[UUID, ...], Field(max_length=WAITS_FOR_MAX)]
    deadline: AwareDatetime | None


class _OrderEvent(Fact):
    exchange: ClassVar[Exchange] = "order"
    saga_field: ClassVar[str] = "order_id"


class OrderPlaced(_OrderEvent):
    """An order wants its coins reserved for at most `hold_s` seconds."""

    type: ClassVar[str] = "order.placed"
    consumers: ClassVar[tuple[Service, ...]] = ("user_service",)

    order_id: UUID
    account_id: AccountId
    amount: Coins
    hold_s: Seconds
    after: After = ()


class FulfilmentRequested(_OrderEvent):
    """Somebody outside is to answer `fulfilment.accepted` or `fulfilment.rejected` before the deadline."""

    type: ClassVar[str] = "fulfilment.requested"

    order_id: UUID
    account_id: AccountId
    item: Item
    quantity: Quantity
    deadline: AwareDatetime


class OrderConfirmed(_OrderEvent):
    """The goods are set aside: the coins are to be captured."""

    type: ClassVar[str] = "order.confirmed"
    consumers: ClassVar[tuple[Service, ...]] = ("user_service",)

    order_id: UUID
    account_id: AccountId


class OrderCompleted(_OrderEvent):
    """The order is paid and its goods are the customer's."""

    type: ClassVar[str] = "order.completed"

    order_id: UUID
    account_id: AccountId


class OrderFailed(_OrderEvent):
    """The order ended without effect.

    Reasons: `unknown_item`, `amount_limit`, `out_of_stock`, `deadline_passed`, `reservation_expired`,
    those of `coins.refused`, and whatever the fulfilment gave.
    """

    type: ClassVar[str] = "order.failed"
    consumers: ClassVar[tuple[Service, ...]] = ("user_service",)

    order_id: UUID
    account_id: AccountId
    reason: Reason


class OrderCancelled(_OrderEvent):
    """The order ended without effect, because its account's owner cancelled it."""

    type: ClassVar[str] = "order.cancelled"
    consumers: ClassVar[tuple[Service, ...]] = ("user_service",)

    order_id: UUID
    account_id: AccountId


class CancelRefused(_OrderEvent):
    """The order can no longer be cancelled. Reasons: `confirmed`, `completed`, `failed`, `other_account`."""

    type: ClassVar[str] = "order.cancel_refused"
    identity_fields: ClassVar[tuple[str, ...]] = ("reason",)

    order_id: UUID
    account_id: AccountId
    reason: Reason


class _PromoEvent(Fact):
    """None of them holds the code, which is a secret between its holder and the promo service."""

    exchange: ClassVar[Exchange] = "promo"
    saga_field: ClassVar[str] = "redemption_id"


class PromoClaimed(_PromoEvent):
    """A use of the code is taken: the account's balance is to be changed, waiting at most `wait_s` seconds."""

    type: ClassVar[str] = "promo.claimed"
    consumers: ClassVar[tuple[Service, ...]] = ("user_service",)

    redemption_id: UUID
    account_id: AccountId
    effect: PromoEffect
    wait_s: Seconds
    after: After = ()


class PromoRedeemed(_PromoEvent):
    """The code took effect and added this many coins."""

    type: ClassVar[str] = "promo.redeemed"

    redemption_id: UUID
    account_id: AccountId
    added: Count


class PromoRefused(_PromoEvent):
    """The redemption ended without effect, and the use of the code is free again.

    Reasons: `code_not_accepted` (unknown, not valid now, used up, or the account tried too many such codes: which of
    them is not told, so that nobody finds out codes by asking), `already_redeemed`, and those of `coins.refused`.
    """

    type: ClassVar[str] = "promo.refused"
    consumers: ClassVar[tuple[Service, ...]] = ("user_service",)

    redemption_id: UUID
    account_id: AccountId
    reason: Reason
