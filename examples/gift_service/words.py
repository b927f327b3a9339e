"""The commands, events and queries of the gift service. Which of them ask something of an account, their roles say.

A gift has up to three operations: its own id is that of the giver's reservation, so that later commands can name it in
`after`; the receiver's reservation, of room for the coins, is the operation `room_id`, and a later credit `credit_id`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID, uuid5

from pydantic import Field, model_validator

from contracts.base import AccountId, After, Audience, Coins, ShopFact
from contracts.roles import AsksReservation, Change, ChangeOf, ChangesBalance, ConfirmsReservation, GivesUpReservation
from holdfast.delivery.queries import Query, Reply
from holdfast.delivery.words import Contract, Exchange, Reason, Service

DEADLINE_S_MAX = 24 * 3600
"""The longest deadline of a gift, in seconds: the receiver's room is kept 30 times longer."""

GiftState = Literal[
    "offered",
    "announced",
    "sent",
    "delivered",
    "owed",
    "returning",
    "completed",
    "returned",
    "failed",
    "cancelled",
]


def room_id(gift_id: UUID) -> UUID:
    """The operation by which the receiver keeps room for the coins."""
    return uuid5(gift_id, "room")


def credit_id(gift_id: UUID, number: int) -> UUID:
    """The operation by which the gift is credited for the n-th time, where those before were refused."""
    return uuid5(gift_id, f"credit/{number}")


class _GiftCommand(ShopFact):
    exchange: ClassVar[Exchange] = "commands"
    consumers: ClassVar[tuple[Service, ...]] = ("gift_service",)
    audience: ClassVar[tuple[Audience, ...]] = ("client",)
    saga_field: ClassVar[str] = "gift_id"

    gift_id: UUID
    account_id: AccountId


class SendGift(_GiftCommand):
    """Give `amount` coins of this account to another one.

    `deadline_s`: seconds within which both accounts must have agreed; after that the gift fails.
    """

    type: ClassVar[str] = "gift.send"

    receiver_id: AccountId
    amount: Coins
    deadline_s: Annotated[float, Field(gt=0, le=DEADLINE_S_MAX, allow_inf_nan=False, strict=True)] | None = None
    after: After = ()

    @model_validator(mode="after")
    def _goes_to_another(self) -> Self:
        if self.receiver_id == self.account_id:
            raise ValueError("receiver_id must be another account than account_id")
        return self


class CancelGift(_GiftCommand):
    """Cancel a gift that is not sent yet. A cancel that overtakes its gift cancels it all the same."""

    type: ClassVar[str] = "gift.cancel"


class _GiftEvent(ShopFact):
    exchange: ClassVar[Exchange] = "gift"
    saga_field: ClassVar[str] = "gift_id"

    gift_id: UUID
    account_id: AccountId


class _RoomEvent(_GiftEvent):
    """About the receiver's reservation."""

    saga_field: ClassVar[str] = "room_id"

    room_id: UUID


class _CreditEvent(_GiftEvent, ChangesBalance):
    """The coins are to be credited: they have left the giver, and the receiver's room is gone."""

    saga_field: ClassVar[str] = "credit_id"

    credit_id: UUID
    amount: Coins

    @property
    def change(self) -> Change:
        return ChangeOf("credit", self.amount)


class GiftOffered(_GiftEvent, AsksReservation):
    """The giver's coins are to be set aside."""

    type: ClassVar[str] = "gift.offered"


class GiftAnnounced(_RoomEvent, AsksReservation):
    """The receiver is to keep room for the coins, for far longer than the giver's coins are set aside."""

    type: ClassVar[str] = "gift.announced"
    direction: ClassVar[Literal["out", "in"]] = "in"


class GiftSent(_GiftEvent, ConfirmsReservation):
    """Both accounts have agreed: the giver's coins are to be captured. That capture is the pivot."""

    type: ClassVar[str] = "gift.sent"


class GiftDelivered(_RoomEvent, ConfirmsReservation):
    """The coins have left the giver: they are to come to the receiver."""

    type: ClassVar[str] = "gift.delivered"


class GiftOwed(_CreditEvent):
    """The receiver's room was gone when the coins came: they are to be credited to the receiver."""

    type: ClassVar[str] = "gift.owed"


class GiftReturning(_CreditEvent):
    """The receiver could not be credited: the coins go back to the giver."""

    type: ClassVar[str] = "gift.returning"


class GiftCompleted(_GiftEvent):
    """The receiver has the coins."""

    type: ClassVar[str] = "gift.completed"
    terminal: ClassVar[bool] = True

    receiver_id: AccountId
    amount: Coins


class GiftReturned(_GiftEvent):
    """The giver has the coins again."""

    type: ClassVar[str] = "gift.returned"
    terminal: ClassVar[bool] = True

    reason: Reason


class GiftFailed(_GiftEvent, GivesUpReservation):
    """The gift ended without effect; the giver's coins are the giver's.

    Reasons: `deadline_passed`, `reservation_expired`, `reservation_released`, those of `coins.refused` for the giver,
    and those for the receiver, such as `receiver_unknown_account`.
    """

    type: ClassVar[str] = "gift.failed"
    why: ClassVar[str] = "gift_failed"

    reason: Reason


class GiftCancelled(_GiftEvent, GivesUpReservation):
    """The gift ended without effect, because its giver cancelled it."""

    type: ClassVar[str] = "gift.cancelled"
    why: ClassVar[str] = "cancelled"


class GiftWithdrawn(_RoomEvent, GivesUpReservation):
    """The receiver need not keep room any more."""

    type: ClassVar[str] = "gift.withdrawn"
    why: ClassVar[str] = "gift_withdrawn"


class CancelGiftRefused(_GiftEvent):
    """The gift can no longer be cancelled. Reasons: how it stands (`sent`, `completed`, …), `other_account`."""

    type: ClassVar[str] = "gift.cancel_refused"
    terminal: ClassVar[bool] = True
    identity_fields: ClassVar[tuple[str, ...]] = ("reason",)

    reason: Reason


class GiftView(Contract):
    """A gift as the gift service has it. `receiver_id`, `amount`: None for one that was cancelled before it came."""

    gift_id: UUID
    account_id: AccountId
    receiver_id: AccountId | None
    amount: int | None
    state: GiftState
    reason: str | None
    deadline: datetime | None


class ShowGift(Query):
    """One gift."""

    type: ClassVar[str] = "gift.show"
    service: ClassVar[Service] = "gift_service"
    reply: ClassVar[Reply] = GiftView

    gift_id: UUID
