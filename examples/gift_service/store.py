"""Keeping gifts: one load of all that a batch touches, locked in one order, and one save of what changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Column, Row, Uuid, bindparam, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from examples.gift_service.facts import Side
from examples.gift_service.state import Gift
from examples.gift_service.tables import gifts
from holdfast.delivery.database import moment

_LOCK = text(
    "SELECT gift_id, account_id, receiver_id, amount, state, reason, deadline, began_at, trace, after, credits, asks,"
    " ask_again_at FROM gifts WHERE gift_id = ANY(:ids) OR room_id = ANY(:ids) OR credit_id = ANY(:ids)"
    " ORDER BY gift_id FOR UPDATE"
).bindparams(bindparam("ids", type_=ARRAY(Uuid)))


@dataclass
class Gifts:
    """The gifts that a batch touches: as loaded, and as they are now."""

    loaded: dict[UUID, Gift]
    gifts: dict[UUID, Gift] = field(init=False)
    _operations: dict[tuple[Side, UUID | None], UUID] = field(init=False)

    def __post_init__(self) -> None:
        self.gifts, self._operations = {}, {}
        for each in self.loaded.values():
            self.put(each)

    def put(self, gift: Gift) -> None:
        """The gift is as this one now."""
        self.gifts[gift.id] = gift
        for operation in gift.operations().items():
            self._operations[operation] = gift.id

    def find(self, operation_id: UUID, sides: Iterable[Side]) -> tuple[Gift, Side] | None:
        """The gift that has this operation on one of these sides, and the side."""
        for side in sides:
            gift_id = self._operations.get((side, operation_id))
            if gift_id and self.gifts[gift_id].operations()[side] == operation_id:
                return self.gifts[gift_id], side
        return None


async def load(connection: AsyncConnection, ids: Collection[UUID]) -> Gifts:
    """Lock and read the gifts that have one of these ids, or an operation of one."""
    rows = await connection.execute(_LOCK, {"ids": sorted(ids)}) if ids else ()
    found = {row.gift_id: _gift(row) for row in rows}
    return Gifts(found)


async def save(connection: AsyncConnection, state: Gifts) -> None:
    """Keep what changed.

    What had no row that could be locked is inserted, and nothing else: if another process inserted it meanwhile, the
    unique key says so, and the batch is decided again on what that one did.
    """
    changed = [each for key, each in state.gifts.items() if state.loaded.get(key) is not each]
    if added := [_row(each) for each in changed if each.id not in state.loaded]:
        await connection.execute(insert(gifts), added)
    if kept := [_row(each) for each in changed if each.id in state.loaded]:
        await connection.execute(_KEEP, kept)


async def due(connection: AsyncConnection, column: Column[Any], limit: int) -> list[UUID]:
    """The gifts for which this moment, a deadline or `ask_again_at`, has come: the longest ago first."""
    rows = await connection.execute(
        select(gifts.c.gift_id).where(column <= moment()).order_by(column, gifts.c.gift_id).limit(limit)
    )
    return list(rows.scalars())


def _gift(row: Row[Any]) -> Gift:
    gift_id, *values = tuple(row)
    kept = Gift(gift_id, *values)
    return replace(kept, after=tuple(kept.after or ()))


_FIELDS = [each.name for each in fields(Gift)]


def _row(gift: Gift) -> dict[str, Any]:
    values = {name: getattr(gift, name) for name in _FIELDS}
    operations = {"room_id": gift.room_id, "credit_id": gift.credit_id}
    return {"gift_id": values.pop("id"), **values, **operations, "after": list(gift.after) or None}


_INSERT = insert(gifts)
_KEEP = _INSERT.on_conflict_do_update(
    index_elements=["gift_id"],
    set_={each.name: _INSERT.excluded[each.name] for each in gifts.columns if each.name not in ("gift_id", "room_id")},
)
