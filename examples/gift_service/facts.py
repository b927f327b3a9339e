"""What the gift service tells itself, and which of a gift's operations an answer of the user service is about. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal
from uuid import UUID

from contracts.events import CoinsCredited, CoinsRefused, OperationEvent
from holdfast.delivery.words import Exchange, Fact

Side = Literal["giver", "receiver", "credit"]
"""The giver's reservation, the receiver's, or a credit to one of them."""

SIDE_OF_KIND: Mapping[str, Side] = {"reserve": "giver", "receive": "receiver", "credit": "credit"}


class _ToItself(Fact):
    exchange: ClassVar[Exchange] = "gift"
    saga_field: ClassVar[str] = "gift_id"
    subject_field: ClassVar[str] = "gift_id"

    gift_id: UUID


class DeadlinePassed(_ToItself):
    """The accounts have not agreed in time."""

    type: ClassVar[str] = "gift.deadline_passed"


class AnswerOverdue(_ToItself):
    """The user service has not answered for a while: the question or its answer may be lost."""

    type: ClassVar[str] = "gift.answer_overdue"


def sides(fact: OperationEvent) -> tuple[Side, ...]:
    """Which operations the answer can be about, by its type: both reservations have the same answers."""
    match fact:
        case CoinsCredited():
            return ("credit",)
        case CoinsRefused(kind=kind):
            side = SIDE_OF_KIND.get(kind)
            return (side,) if side else ()
        case _:
            return ("giver", "receiver")
