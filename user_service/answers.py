"""What is announced of an operation: one event for each answer and each end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts.events import (
    CoinsCaptured,
    CoinsExpired,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
    OperationAccepted,
    OperationWaiting,
    TookEffect,
)
from contracts.topology import FACTS
from holdfast.delivery.words import Fact
from holdfast.entities.tables import state_of
from holdfast.entities.views import wait_of
from holdfast.pending import Entity, Operation

TOOK_EFFECT: Mapping[str, type[TookEffect]] = {
    name: fact for name, fact in FACTS.items() if issubclass(fact, TookEffect)
}
"""What is announced of kinds that are final once they are answered."""


def answer(account_id: str, account: Entity[int], operation: Operation[int]) -> Fact | None:
    """The event that tells how the operation stands; None where it was withdrawn before it arrived."""
    kind: Any = operation.kind
    if kind is None:
        return None
    of: Any = {"account_id": account_id, "operation_id": operation.id, "asked_by": operation.note.asked_by}
    told: Any = operation
    match state_of(operation):
        case "outside" | "waiting":
            return OperationWaiting(**of, kind=kind.name, **wait_of(account, told.id))
        case "accepted":
            return OperationAccepted(**of, kind=kind.name, **wait_of(account, told.id))
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
            event = TOOK_EFFECT[f"coins.{kind.done}"]
            figures = {"kind": kind.name, event.size_field: kind.size, event.answer_field: told.answer}
            return event.model_validate({**of, **figures})
