"""Pending operations as they are told, whatever the entity is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.entities.tables import state_of
from holdfast.entities.words import PENDING_SHOWN_MAX, WAITS_FOR_MAX, PendingView
from holdfast.pending import Entity, Operation


class Wait(NamedTuple):
    """What a pending operation waits for. `position`: how many of the log stand before it. `ahead`: the ids of the
    first open ones of them, or, while it stands outside, of those that have not joined. `until`: when it is answered at
    the latest; None if it is, or if that is for the owners of those ahead to say.
    """

    operation: Operation[int]
    position: int
    ahead: tuple[Any, ...]
    until: datetime | None


def waits(entity: Entity[int], ahead_max: int) -> Iterator[Wait]:
    """Each pending operation, in order, in one pass; at most `ahead_max` ids are told for each."""
    ahead: list[Any] = []
    latest: datetime | None = datetime.min.replace(tzinfo=UTC)
    position = 0
    for each in entity:
        if each.status == "outside":
            named: Any = each.after
            yield Wait(each, position, tuple(sorted(named)[:ahead_max]), each.join_by)
            continue
        until = min((at for at in (latest, each.answer_by) if at and each.status == "waiting"), default=None)
        yield Wait(each, position, tuple(ahead[:ahead_max]), until)
        position += 1
        if each.status != "settled":
            ahead.append(each.id)
            ended = each.settle_by or until
            latest = latest and ended and max(latest, ended)


def pending(entity: Entity[int]) -> tuple[PendingView, ...]:
    """The first pending operations, in their order."""
    return tuple(_view(each) for each in islice(waits(entity, WAITS_FOR_MAX), PENDING_SHOWN_MAX))


def wait_of(entity: Entity[int], operation_id: UUID) -> dict[str, Any]:
    """What an event tells of an operation that waits: its position, what it waits for, and when it is answered."""
    found = next(each for each in waits(entity, WAITS_FOR_MAX) if each.operation.id == operation_id)
    return {"position": found.position, "waits_for": found.ahead, "deadline": found.until}


def _view(wait: Wait) -> PendingView:
    operation = wait.operation
    operation_id: Any = operation.id
    kind: Any = operation.kind
    is_unanswered = operation.status in ("outside", "waiting")
    return PendingView(
        operation_id=operation_id,
        kind=kind.name,
        state=state_of(operation),
        size=kind.size,
        deadline=operation.deadline,
        waits_for=wait.ahead if is_unanswered else (),
        waits_until=wait.until if is_unanswered else None,
    )


async def pending_gauges(connection: AsyncConnection) -> Mapping[str, float]:
    """Operations that wait or are in flight, and how long the oldest of them has."""
    row = (
        await connection.execute(
            text(
                "SELECT count(*) FILTER (WHERE state IN ('waiting', 'accepted')) AS waiting,"
                " count(*) FILTER (WHERE state = 'outside') AS outside,"
                " count(*) FILTER (WHERE state = 'reserved') AS reserved,"
                " extract(epoch FROM now() - min(arrived_at) FILTER (WHERE state IN ('waiting', 'accepted')))"
                " AS waiting_s,"
                " extract(epoch FROM now() - min(arrived_at) FILTER (WHERE state = 'reserved')) AS reserved_s"
                " FROM operations WHERE pending"
            )
        )
    ).one()
    return {
        "operations_waiting": row.waiting,
        "operations_waiting_oldest_seconds": float(row.waiting_s or 0),
        "operations_outside": row.outside,
        "reservations_in_flight": row.reserved,
        "reservations_in_flight_oldest_seconds": float(row.reserved_s or 0),
    }
