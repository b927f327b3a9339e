"""Keeping accounts: one load of all that a batch touches, locked in key order, and one save of what changed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, String, TextClause, Uuid, bindparam, case, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.database import moment
from user_service.account import Account, Line, Step
from user_service.operation import Operation
from user_service.tables import accounts, ledger, operations

_SELECT_BALANCES = "SELECT account_id, balance, places, lines FROM accounts WHERE account_id = ANY(:ids)"
_BALANCES = text(_SELECT_BALANCES).bindparams(bindparam("ids", type_=ARRAY(String)))
_LOCK = text(f"{_SELECT_BALANCES} ORDER BY account_id FOR UPDATE").bindparams(bindparam("ids", type_=ARRAY(String)))

_OPERATIONS = text(
    "SELECT account_id, operation_id, pending, place, kind, size, state, deadline, delta, reason, cause, trace"
    " FROM operations WHERE account_id = ANY(:ids) AND pending"
    " UNION ALL"
    " SELECT o.account_id, o.operation_id, pending, place, kind, size, state, deadline, delta, reason, cause, trace"
    " FROM unnest(:of_accounts, :of_operations) AS wanted (account_id, operation_id)"
    " JOIN operations o USING (account_id, operation_id) WHERE NOT pending"
    " ORDER BY account_id, place"
).bindparams(
    bindparam("ids", type_=ARRAY(String)),
    bindparam("of_accounts", type_=ARRAY(String)),
    bindparam("of_operations", type_=ARRAY(Uuid)),
)


@dataclass
class Accounts:
    """The accounts that a batch touches: as loaded, as they are now, and the ledger lines they gained."""

    loaded: dict[str, Account]
    now: dict[str, Account]
    lines: list[tuple[str, Line]] = field(default_factory=list)

    def advance(self, step: Step) -> None:
        """Take over what one event made of an account."""
        self.now[step.account.id] = step.account
        self.lines += [(step.account.id, line) for line in step.lines]


async def load(connection: AsyncConnection, touched: Collection[tuple[str, UUID | None]]) -> Accounts:
    """Lock these accounts and read them, each with its pending operations and those that are named here.

    An account that is not opened yet has no row; what it refused before is found all the same.
    """
    return await _read(connection, touched, _LOCK)


async def _read(
    connection: AsyncConnection, touched: Collection[tuple[str, UUID | None]], statement: TextClause
) -> Accounts:
    ids = sorted({account_id for account_id, _ in touched})
    named = sorted({(account_id, operation_id) for account_id, operation_id in touched if operation_id})
    balances = {row.account_id: row for row in await connection.execute(statement, {"ids": ids})}
    rows = await connection.execute(
        _OPERATIONS,
        {"ids": ids, "of_accounts": [each for each, _ in named], "of_operations": [each for _, each in named]},
    )
    logs: dict[str, list[Operation]] = {each: [] for each in ids}
    pasts: dict[str, dict[UUID, Operation]] = {each: {} for each in ids}
    for row in rows:
        if row.pending:
            logs[row.account_id].append(_operation(row))
        else:
            pasts[row.account_id][row.operation_id] = _operation(row)
    loaded = {}
    for each in ids:
        at = balances.get(each)
        opened = Account(each, True, at.balance, at.places, at.lines) if at else Account(each)
        loaded[each] = replace(opened, log=tuple(logs[each]), past=pasts[each])
    return Accounts(loaded, dict(loaded))


async def read(connection: AsyncConnection, account_id: str, operation_id: UUID | None = None) -> Account:
    """The account as it is, with its pending operations and the one named here, without locking it."""
    return (await _read(connection, {(account_id, operation_id)}, _BALANCES)).loaded[account_id]


async def save(connection: AsyncConnection, state: Accounts) -> None:
    """Keep what changed: balances, operations, and the new lines of the ledger.

    What had no row that could be locked is inserted, and nothing else: if another process inserted it meanwhile, the
    unique key says so, and the batch is decided again on what that one did.
    """
    opened, changed, added, kept, dropped = [], [], [], [], []
    for account_id, account in state.now.items():
        before = state.loaded[account_id]
        if account is before:
            continue
        values = {"balance": account.balance, "places": account.places, "lines": account.lines}
        if account.opened and not before.opened:
            opened.append({"account_id": account_id, **values})
        elif account.opened and values != {"balance": before.balance, "places": before.places, "lines": before.lines}:
            changed.append({"of": account_id, **values})
        known = {each.id: each for each in before.log} | dict(before.past)
        now = [(each, True) for each in account.log if known.get(each.id) is not each]
        now += [(each, False) for each in account.past.values() if before.past.get(each.id) is not each]
        added += [_row(account_id, each, pending) for each, pending in now if each.id not in known]
        kept += [_row(account_id, each, pending) for each, pending in now if each.id in known]
        gone = known.keys() - account.past.keys() - {each.id for each in account.log}
        dropped += [{"of": account_id, "gone": each} for each in gone]
    if opened:
        await connection.execute(insert(accounts), opened)
    if changed:
        await connection.execute(_UPDATE_BALANCES, changed)
    if dropped:
        await connection.execute(_DROP, dropped)
    if added:
        await connection.execute(insert(operations), added)
    if kept:
        await connection.execute(_KEEP, kept)
    if state.lines:
        await connection.execute(insert(ledger), [_line(account_id, line) for account_id, line in state.lines])


_UPDATE_BALANCES = (
    update(accounts)
    .where(accounts.c.account_id == bindparam("of"))
    .values(balance=bindparam("balance"), places=bindparam("places"), lines=bindparam("lines"))
)
_DROP = delete(operations).where(
    operations.c.account_id == bindparam("of"), operations.c.operation_id == bindparam("gone")
)
_UPSERT = upsert(operations)
_KEEP = _UPSERT.on_conflict_do_update(
    index_elements=["account_id", "operation_id"],
    set_={
        column.name: _UPSERT.excluded[column.name]
        for column in operations.c
        if column.name not in ("account_id", "operation_id", "arrived_at", "trace")
    }
    | {
        "trace": func.coalesce(operations.c.trace, _UPSERT.excluded.trace),
        "arrived_at": case((operations.c.state == "named", func.clock_timestamp()), else_=operations.c.arrived_at),
    },
)


async def due(connection: AsyncConnection, limit: int) -> list[str]:
    """Accounts with a deadline that has passed, the longest ago first: as many as have at most `limit` such operations
    together, and at least one.
    """
    rows = await connection.execute(
        select(operations.c.account_id, func.count())
        .where(operations.c.deadline <= moment())
        .group_by(operations.c.account_id)
        .order_by(func.min(operations.c.deadline), operations.c.account_id)
        .limit(limit)
    )
    found: list[str] = []
    for account_id, count in rows:
        limit -= count
        if found and limit < 0:
            break
        found.append(account_id)
    return found


def _row(account_id: str, operation: Operation, pending: bool) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "operation_id": operation.id,
        "pending": pending,
        "place": operation.place,
        "kind": operation.kind,
        "size": operation.size,
        "state": operation.state,
        "deadline": operation.deadline,
        "delta": operation.delta,
        "reason": operation.reason,
        "cause": operation.cause,
        "trace": operation.trace,
    }


def _line(account_id: str, line: Line) -> dict[str, Any]:
    operation = line.operation
    return {
        "account_id": account_id,
        "seq": line.seq,
        "operation_id": operation.id,
        "kind": operation.kind,
        "size": operation.size,
        "state": operation.state,
        "reason": operation.reason,
        "cause": operation.cause,
        "balance_before": line.balance_before,
        "balance_after": line.balance_after,
    }


def _operation(row: Row[Any]) -> Operation:
    return Operation(
        row.operation_id,
        row.place,
        row.kind,
        row.size,
        row.state,
        row.deadline,
        row.delta,
        row.reason,
        row.cause,
        row.trace,
    )
