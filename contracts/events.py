"""What the services announce. An event is announced once its transaction is committed, and at least once."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.base import AccountId, After, Coins, Count, Factor, Item, Quantity, ShopFact
from contracts.roles import AsksReservation, ChangesBalance, ConfirmsReservation, GivesUpReservation, PromoEffect
from contracts.services import takers
from holdfast.delivery.words import Exchange, Reason, Seconds, Service
from holdfast.entities.words import WAITS_FOR_MAX, OperationKind

AskedBy = Annotated[str, Field(max_length=64, description="The exchange by which the operation came.")]


class OperationEvent(ShopFact):
    """Says something of an operation on an account. `asked_by`: whose it is; no other service gets it."""

    exchange: ClassVar[Exchange] = "user"
    saga_field: ClassVar[str] = "operation_id"

    account_id: AccountId
    operation_id: UUID
    asked_by: AskedBy

    @property
    def routing_key(self) -> str:
        return f"{self.type}.{self.asked_by}"

    @classmethod
    def bound_by(cls, exchange: Exchange) -> str:
        return f"{cls.type}.{exchange}"


class AccountOpened(ShopFact):
    """The account exists."""

    type: ClassVar[str] = "account.opened"
    terminal: ClassVar[bool] = True
    exchange: ClassVar[Exchange] = "user"
    saga_field: ClassVar[str] = "account_id"

    account_id: AccountId


class TookEffect(OperationEvent):
    """The operation had its effect as soon as it was answered; its kind's `done` names the event, `coins.<done>`.

    `size_field`, `answer_field`: where the event tells the operation's size, and the coins that it was answered with.
    """

    size_field: ClassVar[str] = "size"
    answer_field: ClassVar[str] = "amount"


class CoinsCredited(TookEffect):
    """The coins were added: a credit, or the bonus of a promo code."""

    type: ClassVar[str] = "coins.credited"
    consumers: ClassVar[tuple[Service, ...]] = takers("coins.credited")

    kind: OperationKind
    amount: Coins


class CoinsReserved(OperationEvent):
    """The coins, or the room for coins to come, are set aside until the saga settles or the deadline passes."""

    type: ClassVar[str] = "coins.reserved"
    consumers: ClassVar[tuple[Service, ...]] = takers("coins.reserved")

    amount: Coins
    deadline: AwareDatetime


class CoinsRefused(OperationEvent):
    """The operation has no effect, now or later.

    Reasons: `insufficient_coins`, `unknown_account`, `balance_limit` (the balance would exceed the largest one),
    `pending_limit` (too many operations wait or are in flight), `wait_deadline_passed`, `named_missing` (what it names
    in `after` did not come in time), `id_used` (the account has used the id for another operation), and why its saga
    gave it up, such as `cancelled`, `order_failed` or `promo_refused`.
    """

    type: ClassVar[str] = "coins.refused"
    identity_fields: ClassVar[tuple[str, ...]] = ("kind", "asked_by")
    consumers: ClassVar[tuple[Service, ...]] = takers("coins.refused")

    kind: OperationKind
    reason: Reason


class CoinsCaptured(OperationEvent):
    """The reserved coins are spent, or the coins to come have come."""

    type: ClassVar[str] = "coins.captured"
    consumers: ClassVar[tuple[Service, ...]] = takers("coins.captured")

    amount: Coins


class CoinsReleased(OperationEvent):
    """The reservation was given up: its coins, or its room, are the account's again."""

    type: ClassVar[str] = "coins.released"
    consumers: ClassVar[tuple[Service, ...]] = takers("coins.released")

    amount: Coins


class CoinsExpired(OperationEvent):
    """The reservation's deadline passed: its coins, or its room, are the account's again, and a capture is refused."""

    type: ClassVar[str] = "coins.expired"
    consumers: ClassVar[tuple[Service, ...]] = takers("coins.expired")

    amount: Coins


class CoinsMultiplied(TookEffect):
    """The balance was multiplied, which added this many coins."""

    type: ClassVar[str] = "coins.multiplied"
    size_field: ClassVar[str] = "factor"
    answer_field: ClassVar[str] = "added"
    consumers: ClassVar[tuple[Service, ...]] = takers("coins.multiplied")

    factor: Factor
    added: Count


class CoinsCharged(TookEffect):
    """A percentage of the balance was taken: this many coins."""

    type: ClassVar[str] = "coins.charged"
    terminal: ClassVar[bool] = True
    size_field: ClassVar[str] = "percent"

    percent: Count
    amount: Count


class OperationWaiting(OperationEvent):
    """The operation's answer still depends on how others end, or those that it names in `after` have not come.

    `position`: how many operations of the account stand before it. `waits_for`: the first of them that are open, in
    order, or those that have not come. `deadline`: when it will be answered at the latest, where that is known.
    """

    type: ClassVar[str] = "operation.waiting"
    terminal: ClassVar[bool] = True

    kind: OperationKind
    position: Count
    waits_for: Annotated[tuple[UUID, ...], Field(max_length=WAITS_FOR_MAX)]
    deadline: AwareDatetime | None = None


class OperationAccepted(OperationEvent):
    """The operation will take effect, and nothing can withdraw it any more; its size depends on how others end."""

    type: ClassVar[str] = "operation.accepted"
    terminal: ClassVar[bool] = True

    kind: OperationKind
    position: Count
    waits_for: Annotated[tuple[UUID, ...], Field(max_length=WAITS_FOR_MAX)]
    deadline: AwareDatetime | None = None


class _OrderEvent(ShopFact):
    exchange: ClassVar[Exchange] = "order"
    saga_field: ClassVar[str] = "order_id"


class OrderPlaced(_OrderEvent, AsksReservation):
    """An order wants its coins reserved for at most `hold_s` seconds."""

    type: ClassVar[str] = "order.placed"

    order_id: UUID


class OrderWaiting(_OrderEvent):
    """The coins are reserved; whether there are pieces for the order depends on how other orders of the item end.

    `position`, `waits_for` and `deadline` as in `operation.waiting`, among the operations of the item.
    """

    type: ClassVar[str] = "order.waiting"
    terminal: ClassVar[bool] = True

    order_id: UUID
    account_id: AccountId
    item: Item
    position: Count
    waits_for: Annotated[tuple[UUID, ...], Field(max_length=WAITS_FOR_MAX)]
    deadline: AwareDatetime | None = None


class FulfilmentRequested(_OrderEvent):
    """Somebody outside is to answer `fulfilment.accepted` or `fulfilment.rejected` before the deadline."""

    type: ClassVar[str] = "fulfilment.requested"
    terminal: ClassVar[bool] = True

    order_id: UUID
    account_id: AccountId
    item: Item
    quantity: Quantity
    deadline: AwareDatetime


class OrderConfirmed(_OrderEvent, ConfirmsReservation):
    """The goods are set aside: the coins are to be captured."""

    type: ClassVar[str] = "order.confirmed"

    order_id: UUID


class OrderCompleted(_OrderEvent):
    """The order is paid and its goods are the customer's."""

    type: ClassVar[str] = "order.completed"
    terminal: ClassVar[bool] = True

    order_id: UUID
    account_id: AccountId


class OrderFailed(_OrderEvent, GivesUpReservation):
    """The order ended without effect.

    Reasons: `unknown_item`, `amount_limit`, `out_of_stock`, `deadline_passed`, `reservation_expired`,
    those of `coins.refused`, and whatever the fulfilment gave.
    """

    type: ClassVar[str] = "order.failed"
    why: ClassVar[str] = "order_failed"

    order_id: UUID
    reason: Reason


class OrderCancelled(_OrderEvent, GivesUpReservation):
    """The order ended without effect, because its account's owner cancelled it."""

    type: ClassVar[str] = "order.cancelled"
    why: ClassVar[str] = "cancelled"

    order_id: UUID


class CancelRefused(_OrderEvent):
    """The order can no longer be cancelled. Reasons: `confirmed`, `completed`, `failed`, `other_account`."""

    type: ClassVar[str] = "order.cancel_refused"
    terminal: ClassVar[bool] = True
    identity_fields: ClassVar[tuple[str, ...]] = ("reason",)

    order_id: UUID
    account_id: AccountId
    reason: Reason


class _PromoEvent(ShopFact):
    """None of them holds the code, which is a secret between its holder and the promo service."""

    exchange: ClassVar[Exchange] = "promo"
    saga_field: ClassVar[str] = "redemption_id"


class PromoClaimed(_PromoEvent, ChangesBalance):
    """A use of the code is taken: the account's balance is to be changed.

    `wait_s`: seconds for which the effect may wait; without it nothing withdraws it. `join_s`: seconds for which it may
    stand outside for those in `after`.
    """

    type: ClassVar[str] = "promo.claimed"

    redemption_id: UUID
    effect: PromoEffect
    wait_s: Seconds | None = None
    join_s: Seconds
    after: After = ()

    @property
    def change(self) -> PromoEffect:
        return self.effect

    @property
    def waits_s(self) -> float | None:
        return self.wait_s

    @property
    def joins_s(self) -> float | None:
        return self.join_s


class PromoWaiting(_PromoEvent):
    """Whether there is a use of the code for the redemption depends on how other redemptions end.

    `position`, `waits_for` and `deadline` as in `operation.waiting`, among the redemptions of the code.
    """

    type: ClassVar[str] = "promo.waiting"
    terminal: ClassVar[bool] = True

    redemption_id: UUID
    account_id: AccountId
    position: Count
    waits_for: Annotated[tuple[UUID, ...], Field(max_length=WAITS_FOR_MAX)]
    deadline: AwareDatetime | None = None


class PromoRedeemed(_PromoEvent):
    """The code took effect and added this many coins."""

    type: ClassVar[str] = "promo.redeemed"
    terminal: ClassVar[bool] = True

    redemption_id: UUID
    account_id: AccountId
    added: Count


class PromoRefused(_PromoEvent, GivesUpReservation):
    """The redemption ended without effect, and the use of the code is free again.

    Reasons: `code_not_accepted` (unknown, not valid now, used up, or the account tried too many such codes: which of
    them is not told, so that nobody finds out codes by asking), `already_redeemed`, and those of `coins.refused`.
    """

    type: ClassVar[str] = "promo.refused"
    why: ClassVar[str] = "promo_refused"

    redemption_id: UUID
    reason: Reason
