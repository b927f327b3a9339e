"""A gift as it is kept, and what is announced of it in each state. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from examples.gift_service.facts import Side
from examples.gift_service.words import (
    GiftAnnounced,
    GiftCancelled,
    GiftCompleted,
    GiftDelivered,
    GiftFailed,
    GiftOffered,
    GiftOwed,
    GiftReturned,
    GiftReturning,
    GiftSent,
    GiftState,
    GiftWithdrawn,
    credit_id,
    room_id,
)
from holdfast.delivery.words import DURATION_S_MAX, Fact

State = Literal["unknown"] | GiftState


@dataclass(frozen=True, slots=True)
class Gift:
    """A gift. `receiver_id` is None for one that was cancelled before it came. `credits`: how many credits were asked
    for, each under an id of its own. `asks` and `ask_again_at`: how often the present question to the user service was
    asked again, and when it is next.
    """

    id: UUID
    account_id: str = ""
    receiver_id: str | None = None
    amount: int = 0
    state: State = "unknown"
    reason: str | None = None
    deadline: datetime | None = None
    began_at: datetime | None = None
    trace: str | None = None
    after: tuple[UUID, ...] = ()
    credits: int = 0
    asks: int = 0
    ask_again_at: datetime | None = None

    @property
    def room_id(self) -> UUID:
        """The receiver's operation."""
        return room_id(self.id)

    @property
    def credit_id(self) -> UUID | None:
        """The credit that was asked for last."""
        return credit_id(self.id, self.credits) if self.credits else None

    def operations(self) -> dict[Side, UUID | None]:
        """The id of the operation on each side."""
        return {"giver": self.id, "receiver": self.room_id, "credit": self.credit_id}


def ending(gift: Gift) -> Iterator[Fact]:
    of, reason = {"gift_id": gift.id, "account_id": gift.account_id}, gift.reason or gift.state
    match gift.state:
        case "completed":
            yield GiftCompleted.model_validate({**of, "receiver_id": gift.receiver_id, "amount": gift.amount})
        case "returned":
            yield GiftReturned.model_validate({**of, "reason": reason})
        case "failed":
            yield GiftFailed.model_validate({**of, "reason": reason})
        case "cancelled":
            yield GiftCancelled.model_validate(of)


def question(gift: Gift, now: datetime) -> Fact:
    """What the user service is asked in this state. Asked again, the giver's coins are wanted for the time left."""
    giver = {"gift_id": gift.id, "account_id": gift.account_id, "amount": gift.amount}
    receiver = {**giver, "account_id": gift.receiver_id, "room_id": gift.room_id}
    match gift.state:
        case "offered":
            assert gift.deadline is not None
            left_s = max((gift.deadline - now).total_seconds(), 1e-6)
            return GiftOffered.model_validate({**giver, "hold_s": left_s, "after": gift.after})
        case "announced":
            return GiftAnnounced.model_validate({**receiver, "hold_s": float(DURATION_S_MAX)})
        case "sent":
            return GiftSent.model_validate(giver)
        case "delivered":
            return GiftDelivered.model_validate(receiver)
        case "owed":
            return GiftOwed.model_validate({**receiver, "credit_id": gift.credit_id})
        case "returning":
            return GiftReturning.model_validate({**giver, "credit_id": gift.credit_id})
        case _:
            return GiftWithdrawn.model_validate(receiver)
