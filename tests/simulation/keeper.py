"""`holdfast.entities.entities.Keeper` without a database: the same loads and saves, the same order of what falls due.

It is held to the real one by `test_memory_is_as_the_database.py`. Nothing changes but by a save; every load makes the
entities anew from what was saved.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from uuid import UUID

from holdfast.entities.entities import Entities, Line
from holdfast.pending import Entity, Operation

Pending = dict[UUID, Operation[int]]


class MemoryKeeper:
    """`rows`: each entity's state, places and lines. `pending` and `past`: its operations. `ledger`: its lines.
    `arrived` and `lined`: when an operation arrived, and a line was written. `changed`: entities that changed since
    somebody last emptied it. `now`: what the database would take for the time.
    """

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, int, int]] = {}
        self.pending: dict[str, Pending] = {}
        self.past: dict[str, Pending] = {}
        self.ledger: dict[str, list[Line]] = {}
        self.lined: dict[tuple[str, int], datetime] = {}
        self.changed: set[str] = set()
        self.arrived: dict[tuple[str, UUID], datetime] = {}
        self.now = datetime.min.replace(tzinfo=UTC)

    async def load(self, _: object, touched: Collection[tuple[str, UUID | None]], lock: bool = True) -> Entities:
        keys = {key for key, _ in touched}
        at = {key: Entity(*self.rows.get(key, (0, 0))[:2], self.pending.get(key, {}).values()) for key in keys}
        for key, operation_id in touched:
            if operation_id and (known := self.past.get(key, {}).get(operation_id)):
                at[key].past[operation_id] = known
        opened = keys & self.rows.keys()
        ledgers = {key: (self.rows[key][2], self.rows[key][0]) for key in opened}
        return Entities(at, opened, ledgers=ledgers)

    async def save(self, _: object, state: Entities) -> None:
        if state.error:
            raise state.error
        for each in state.changed:
            known = each[1] in self.pending.get(each[0], ()) or each[1] in self.past.get(each[0], ())
            assert known != (each in state.fresh), f"{each} is {'known' if known else 'not known'}"
        for each in state.fresh:
            self.arrived[each] = self.now
        for (key, operation_id), operation in state.changed.items():
            is_past = operation_id in state.at[key].past
            self.pending.setdefault(key, {}).pop(operation_id, None)
            (self.past if is_past else self.pending).setdefault(key, {})[operation_id] = operation
        for key, line in state.lines:
            self.ledger.setdefault(key, []).append(line)
            self.lined[key, line.number] = self.now
        changed = {key for key, _ in state.changed} | state.created
        self.changed |= changed
        for key in changed & state.opened:
            self.rows[key] = (state.at[key].state, state.at[key].places, state.ledgers.get(key, (0, 0))[0])

    async def due(self, _: object, limit: int) -> list[str]:
        due: list[tuple[datetime, str, int]] = []
        for key, pending in self.pending.items():
            passed = [each.deadline for each in pending.values() if each.deadline and each.deadline <= self.now]
            if passed:
                due.append((min(passed), key, len(passed)))
        found: list[str] = []
        for _at, key, count in sorted(due):
            limit -= count
            if found and limit < 0:
                break
            found.append(key)
        return found

    def next_due(self) -> datetime | None:
        """When an operation falls due next."""
        deadlines = (each.deadline for pending in self.pending.values() for each in pending.values())
        return min((each for each in deadlines if each), default=None)

    def entity(self, key: str) -> tuple[int, list[Operation[int]], list[Operation[int]]]:
        """An entity's state, its log, and what stands outside."""
        pending = sorted(self.pending.get(key, {}).values(), key=lambda each: each.place)
        log = [each for each in pending if each.status != "outside"]
        return self.rows.get(key, (0, 0, 0))[0], log, [each for each in pending if each.status == "outside"]
