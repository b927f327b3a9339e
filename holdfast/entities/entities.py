"""Keeping entities with their pending operations: one load of all that a batch touches, locked in key order, and one
save of what changed.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.delivery.database import moment
from holdfast.delivery.domain import Refused
from holdfast.entities.tables import EntityTables, NamedKind, Note, cause_of, state_of
from holdfast.pending import Entity, Kind, Operation, Outcome

KEPT_FROM = 16
"""Entities with so many pending operations are kept in memory between batches, so that not each loads them all."""
KEPT_MAX = 1000


class Line(NamedTuple):
    """An operation that left the log of its entity. `number`: 1 for the entity's first, without gaps."""

    number: int
    operation: Operation[int]
    before: int
    after: int


@dataclass
class Entities:
    """The entities that a batch touches, as they are now, and what the batch did to them.

    Each method is a transition of `holdfast.pending.Entity`. `opened`: keys of entities that have a row. `stamps`: of
    their rows, as loaded. `ledgers`: how many lines each entity's ledger has, and the state behind the last.
    """

    at: dict[str, Entity[int]]
    opened: set[str]
    stamps: Mapping[str, int] = field(default_factory=dict)
    ledgers: dict[str, tuple[int, int]] = field(default_factory=dict)
    changed: dict[tuple[str, UUID], Operation[int]] = field(default_factory=dict)
    fresh: set[tuple[str, UUID]] = field(default_factory=set)
    lines: list[tuple[str, Line]] = field(default_factory=list)
    created: set[str] = field(default_factory=set)
    error: Exception | None = None

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Decide one message. A message that fails in the middle of a decision may have left an entity half changed:
        then nothing of this batch is saved, and its messages are tried again in smaller ones.
        """
        try:
            yield
        except Refused:
            raise
        except Exception as error:
            self.error = error
            raise

    def open(self, key: str) -> None:
        """Give the entity a row, with nothing in it, unless it has one."""
        if key not in self.opened:
            self.opened.add(key)
            self.created.add(key)

    def arrive(self, key: str, operation: Operation[int], now: datetime) -> Outcome[int]:
        outcome = self.at[key].arrive(operation, now)
        self.fresh.add((key, cast(UUID, operation.id)))
        return self._record(key, outcome)

    def refuse(self, key: str, operation: Operation[int], now: datetime, reason: str) -> Outcome[int]:
        outcome = self.at[key].arrive(operation, now, reason)
        self.fresh.add((key, cast(UUID, operation.id)))
        return self._record(key, outcome)

    def settle(self, key: str, operation_id: UUID, now: datetime, cause: str) -> Outcome[int]:
        assert self.at[key].find(operation_id), f"{operation_id} of {key} was not loaded"
        return self._record(key, self.at[key].settle(operation_id, now, note=self._note(key, operation_id, cause)))

    def release(self, key: str, operation_id: UUID, now: datetime, reason: str, cause: str) -> Outcome[int]:
        note = self._note(key, operation_id, cause)
        return self._record(key, self.at[key].settle(operation_id, now, -1, reason, note))

    def withdraw(
        self, key: str, operation_id: UUID, now: datetime, reason: str, cause: str, asked_by: str = ""
    ) -> Outcome[int]:
        """`asked_by`: whose it is, if it has not arrived."""
        note = self._note(key, operation_id, cause)
        if self.at[key].find(operation_id) is None:
            self.fresh.add((key, operation_id))
            note = Note(asked_by, cause)
        return self._record(key, self.at[key].withdraw(operation_id, now, reason, note))

    def pass_time(self, key: str, now: datetime) -> Outcome[int]:
        return self._record(key, self.at[key].pass_time(now))

    def _note(self, key: str, operation_id: UUID, cause: str) -> Note:
        known = self.at[key].find(operation_id)
        return replace(known.note, cause=cause) if known else Note(cause=cause)

    def _record(self, key: str, outcome: Outcome[int]) -> Outcome[int]:
        for operation in (*outcome.changed, *outcome.folded):
            self.changed[key, cast(UUID, operation.id)] = operation
        for operation in outcome.folded:
            number, before = self.ledgers.get(key, (0, 0))
            (after,) = operation.possible({before})
            self.lines.append((key, Line(number + 1, operation, before, after)))
            self.ledgers[key] = number + 1, after
        return outcome


def may_wait(entity: Entity[int], kind: Any) -> bool:
    """Whether a new operation of this kind, which names none, would have no certain answer."""
    bounds = entity.bounds
    return bounds is None or kind.answer(bounds[0]) != kind.answer(bounds[1])


class Keeper:
    """Loads and saves the entities of one service. `kinds`: each kind's class by its name, made from its `size`."""

    def __init__(self, tables: EntityTables, kinds: Mapping[str, type[Any]]) -> None:
        self._tables, self._kinds = tables, kinds
        self._kept: OrderedDict[str, tuple[int, Entity[int]]] = OrderedDict()
        self._sql = _Statements(tables)

    async def load(
        self, connection: AsyncConnection, touched: Collection[tuple[str, UUID | None]], lock: bool = True
    ) -> Entities:
        """Read these entities, each with its pending operations and those that are named here, and lock them.

        What one without a row refused before is found all the same. What stands in memory is used only if its stamp is
        the row's: then nobody has written since.
        """
        keys = sorted({key for key, _ in touched})
        found = await self._rows(connection, keys, lock)
        entities: dict[str, Entity[int]] = {}
        for key in keys if lock else ():
            kept = self._kept.pop(key, None)
            if kept and key in found and kept[0] == found[key].stamp:
                entities[key] = kept[1]
                kept[1].past.clear()
        named = sorted({(key, operation_id) for key, operation_id in touched if operation_id})
        of_keys, of_ids = [key for key, _ in named], [operation_id for _, operation_id in named]
        unread = [key for key in keys if key not in entities]
        pending: dict[str, list[Operation[int]]] = {key: [] for key in unread}
        past: list[tuple[str, Operation[int]]] = []
        if unread or named:
            wanted = {"keys": unread, "of_keys": of_keys, "of_ids": of_ids}
            for row in await connection.execute(self._sql.operations, wanted):
                if row.pending:
                    pending[row[0]].append(self._operation(row))
                else:
                    past.append((row[0], self._operation(row)))
        for key in unread:
            at = found.get(key)
            state, places = tuple(at)[1:3] if at else (0, 0)
            entities[key] = Entity(state, places, pending[key])
        for key, operation in past:
            entities[key].past[operation.id] = operation
        ledgers = {key: (row.lines, tuple(row)[1]) for key, row in found.items()}
        return Entities(entities, set(found), {key: row.stamp for key, row in found.items()}, ledgers)

    async def _rows(self, connection: AsyncConnection, keys: list[str], lock: bool) -> dict[str, Row[Any]]:
        rows: Any = await connection.execute(self._sql.lock if lock else self._sql.read, {"keys": keys})
        found = {row[0]: row for row in rows}
        if lock and len(found) < len(keys):
            # What has no row is locked by its name: whoever gives it one holds that lock, too.
            missing = {"keys": [key for key in keys if key not in found]}
            await connection.execute(self._sql.lock_names, missing)
            rows = await connection.execute(self._sql.lock, missing)
            found |= {row[0]: row for row in rows}
        return found

    async def save(self, connection: AsyncConnection, state: Entities) -> None:
        """Keep what changed: entities, operations, and the new lines of the ledger.

        What had no row that could be locked is inserted, and nothing else: if another process inserted it meanwhile,
        the unique key says so, and the batch is decided again on what that one did.
        """
        if state.error:
            raise state.error
        keys = {key for key, _ in state.changed} | {key for key, _ in state.lines} | state.created
        stamps = {key: secrets.randbits(62) for key in sorted(keys & state.opened)}
        lines = {key: number for key, (number, _) in state.ledgers.items()}
        rows = [
            (key, (at := state.at[key]).state, at.places, lines.get(key, 0), stamp) for key, stamp in stamps.items()
        ]
        await _run(connection, self._sql.open, [row for row in rows if row[0] in state.created])
        await _run(connection, self._sql.update, [row for row in rows if row[0] not in state.created])
        changed = [_row(*each, operation, state.at[each[0]]) for each, operation in state.changed.items()]
        await _run(connection, self._sql.insert, [row for row in changed if row[:2] in state.fresh])
        await _run(connection, self._sql.change, [row for row in changed if row[:2] not in state.fresh])
        await _run(connection, self._sql.enter, [_ledger_row(key, line) for key, line in state.lines])
        stamped = {**state.stamps, **stamps}
        for key, entity in state.at.items():
            if len(entity) >= KEPT_FROM and key in stamped:
                self._kept[key] = stamped[key], entity
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)

    async def due(self, connection: AsyncConnection, limit: int) -> list[str]:
        """Entities with a deadline that has passed, the longest ago first: as many as have at most `limit` such
        operations together, and at least one.
        """
        table = self._tables.operations
        key = table.c[self._tables.key]
        rows = await connection.execute(
            select(key, func.count())
            .where(table.c.deadline <= moment())
            .group_by(key)
            .order_by(func.min(table.c.deadline), key)
            .limit(limit)
        )
        found: list[str] = []
        for each, count in rows:
            limit -= count
            if found and limit < 0:
                break
            found.append(each)
        return found

    def _operation(self, row: Row[Any]) -> Operation[int]:
        # By position: a row's attributes are looked up by name, which costs as much as all the rest.
        values: Any = tuple(row)
        _, operation_id, _, place, kind, size, state, after, join_by, answer_by, settle_by, answer, ending = values[:13]
        status: Any = _STATUS.get(state, "settled")
        how: Any = None
        if status == "settled":
            how = state if state in ("captured", "released", "expired") else "answered" if ending is not None else None
        return Operation(
            operation_id,
            cast(Kind[int], self._kinds[kind](size)) if kind else None,
            frozenset(after),
            join_by,
            answer_by,
            settle_by,
            place,
            status,
            state == "accepted",
            answer,
            ending,
            how,
            values[13],
            Note(*values[14:]),
        )


_STATUS = {"outside": "outside", "waiting": "waiting", "accepted": "waiting", "reserved": "reserved"}


def _row(key: str, operation_id: UUID, operation: Operation[int], entity: Entity[int]) -> tuple[Any, ...]:
    kind = cast(NamedKind | None, operation.kind)
    return (
        key,
        operation_id,
        operation_id not in entity.past,
        operation.place,
        kind.name if kind else None,
        kind.size if kind else None,
        state_of(operation),
        "{" + ",".join(sorted(map(str, operation.after))) + "}",
        operation.join_by,
        operation.answer_by,
        operation.settle_by,
        operation.deadline,
        operation.answer if isinstance(operation.answer, int) else None,
        operation.end,
        operation.reason,
        operation.note.asked_by,
        cause_of(operation),
        operation.note.trace,
    )


def _ledger_row(key: str, line: Line) -> tuple[Any, ...]:
    operation = line.operation
    kind = cast(NamedKind, operation.kind)
    note = operation.note
    names = (operation.id, kind.name, kind.size, state_of(operation), operation.reason, note.asked_by)
    return (key, line.number, *names, cause_of(operation), line.before, line.after)


async def _run(connection: AsyncConnection, statement: _Rows, rows: Sequence[tuple[Hashable, ...]]) -> None:
    if rows:
        await connection.execute(statement.clause, dict(zip(statement.names, zip(*rows, strict=True), strict=True)))


class _Rows:
    """A statement on many rows at once: `names` are its parameters, each the list of one column's values."""

    def __init__(self, before: str, columns: Iterable[tuple[str, str]], after: str = "") -> None:
        typed = list(columns)
        self.names = [f"c{number}" for number, _ in enumerate(typed)]
        arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, (_, kind) in zip(self.names, typed, strict=True))
        self.clause = text(f"{before} unnest({arrays}) AS new ({', '.join(name for name, _ in typed)}) {after}")


class _Statements:
    """The statements on one service's tables."""

    def __init__(self, tables: EntityTables) -> None:
        key, state = tables.key, tables.state
        entities, columns = tables.entities.name, f"{key}, {state}, places, lines, stamp"
        self.read = text(f"SELECT {columns} FROM {entities} WHERE {key} = ANY(CAST(:keys AS text[]))")  # noqa: S608
        self.lock = text(f"{self.read.text} ORDER BY {key} FOR UPDATE")
        names = "unnest(CAST(:keys AS text[])) AS names (name)"
        self.lock_names = text(f"SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM {names}")  # noqa: S608
        kept = "operation_id, pending, place, kind, size, state, after, join_by, answer_by, settle_by, answer, ending"
        rest = "reason, asked_by, cause, trace"
        self.operations = text(
            f"SELECT {key}, {kept}, {rest} FROM operations WHERE {key} = ANY(CAST(:keys AS text[])) AND pending"  # noqa: S608
            f" UNION ALL SELECT {key}, {kept}, {rest}"
            f" FROM unnest(CAST(:of_keys AS text[]), CAST(:of_ids AS uuid[])) AS named ({key}, operation_id)"
            f" JOIN operations USING ({key}, operation_id) WHERE NOT pending ORDER BY {key}, place"
        )
        counts = [(key, "text"), (state, "bigint"), ("places", "bigint"), ("lines", "bigint"), ("stamp", "bigint")]
        self.open = _Rows(f"INSERT INTO {entities} ({columns}) SELECT * FROM", counts)
        self.update = _Rows(
            f"UPDATE {entities} AS old SET {state} = new.{state}, places = new.places, lines = new.lines,"  # noqa: S608
            " stamp = new.stamp FROM",
            counts,
            f"WHERE old.{key} = new.{key}",
        )
        typed = [(key, "text"), ("operation_id", "uuid"), *_OPERATION]
        listed = ", ".join(name for name, _ in typed)
        values = ", ".join("after::uuid[]" if name == "after" else name for name, _ in typed)
        self.insert = _Rows(f"INSERT INTO operations ({listed}) SELECT {values} FROM", typed)
        changing = ", ".join(f"{name} = new.{name}" for name, _ in _OPERATION if name not in ("after", "trace"))
        self.change = _Rows(
            f"UPDATE operations AS old SET {changing}, after = new.after::uuid[] FROM",  # noqa: S608
            typed,
            f"WHERE old.{key} = new.{key} AND old.operation_id = new.operation_id",
        )
        lines = [(key, "text"), *_LEDGER, (f"{state}_before", "bigint"), (f"{state}_after", "bigint")]
        self.enter = _Rows(f"INSERT INTO ledger ({', '.join(name for name, _ in lines)}) SELECT * FROM", lines)


_OPERATION = (
    ("pending", "boolean"),
    ("place", "bigint"),
    ("kind", "text"),
    ("size", "bigint"),
    ("state", "text"),
    ("after", "text"),
    ("join_by", "timestamptz"),
    ("answer_by", "timestamptz"),
    ("settle_by", "timestamptz"),
    ("deadline", "timestamptz"),
    ("answer", "bigint"),
    ("ending", "smallint"),
    ("reason", "text"),
    ("asked_by", "text"),
    ("cause", "text"),
    ("trace", "text"),
)
_LEDGER = (
    ("seq", "bigint"),
    ("operation_id", "uuid"),
    ("kind", "text"),
    ("size", "bigint"),
    ("state", "text"),
    ("reason", "text"),
    ("asked_by", "text"),
    ("cause", "text"),
)
