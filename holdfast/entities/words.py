"""What is told of operations, whatever they are operations on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from holdfast.delivery.words import Contract

PENDING_SHOWN_MAX = 200
"""An entity with more pending operations shows the first: a reply is one message, and nobody reads thousands."""

WAITS_FOR_MAX = 20
"""How many of the operations that another waits for are told."""

OperationKind = Annotated[str, Field(max_length=32, description="The kind of the operation.")]
OperationState = Annotated[
    str,
    Field(
        description="`outside` (those in `after` have not come), `waiting`, `accepted` (it waits, and takes effect for "
        "certain), `reserved`, `refused`, how a reservation ended (`captured`, `released`, `expired`), or what it did, "
        "as its kind calls that."
    ),
]


class PendingView(Contract):
    """An operation of an entity that is open, or settled behind one that is open."""

    operation_id: UUID
    kind: OperationKind | None
    state: OperationState
    size: int | None = Field(description="The one figure of its kind, such as an amount.")
    deadline: datetime | None = Field(description="When it ends or is answered at the latest by its own deadline.")
    waits_for: tuple[UUID, ...] = Field(description="The first of the open operations before it, if it waits.")
    waits_until: datetime | None = Field(description="When it is answered at the latest, if it waits.")
