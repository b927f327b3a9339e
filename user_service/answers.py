"""What is announced of an operation: one event for each answer and each end. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypedDict
from uuid import UUID

from contracts.base import WAITS_FOR_MAX, Fact
from contracts.events import (
    CoinsCaptured,
    CoinsCredited,
    CoinsExpired,
    CoinsMultiplied,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
    OperationAccepted,
    OperationWaiting,
)
from holdfast.pending import Entity, Operation, waits
from messaging.entity_tables import state_of
from user_service.kinds import Coins


class Of(TypedDict):
    """Which operation an event is about."""

    account_id: str
    operation_id: UUID
    asked_by: str


Teller: TypeAlias = Callable[[Of, Coins, int], Fact]
"""Makes the event of an operation that took effect, from its kind and its answer."""

DONE: Mapping[str, Teller] = {
    "credit": lambda of, kind, added: CoinsCredited(**of, kind=kind.name, amount=added),
    "bonus": lambda of, kind, added: CoinsCredited(**of, kind=kind.name, amount=added),
    "multiply": lambda of, kind, added: CoinsMultiplied(**of, factor=kind.size, added=added),
}
"""What is announced of each kind that is final once it is answered."""


def answer(account_id: str, account: Entity[int], operation: Operation[int]) -> Fact | None:
    """The event that tells how the operation stands; None where it was withdrawn before it arrived."""
    kind: Any = operation.kind
    if kind is None:
        return None
    of: Any = {"account_id": account_id, "operation_id": operation.id, "asked_by": operation.note.asked_by}
    told: Any = operation
    match state_of(operation):
        case "outside" | "waiting":
            return OperationWaiting(**of, kind=kind.name, **_waits(account, operation))
        case "accepted":
            return OperationAccepted(**of, kind=kind.name, **_waits(account, operation))
        case "reserved":
            return CoinsReserved(**of, amount=kind.size, deadline=told.settle_by)
        case "captured":
            return CoinsCaptured(**of, amount=kind.size)
        case "released":
            return CoinsReleased(**of, amount=kind.size)
        case "expired":
            return CoinsExpired(**of, amount=kind.size)
        case "refused":
            return CoinsRefused(**of, kind=kind.name, reason=told.reason)
        case _:
            return DONE[kind.name](of, kind, told.answer)


def _waits(account: Entity[int], operation: Operation[int]) -> dict[str, Any]:
    found = next(each for each in waits(account, WAITS_FOR_MAX) if each.operation.id == operation.id)
    return {"position": found.position, "waits_for": found.ahead, "deadline": found.until}
