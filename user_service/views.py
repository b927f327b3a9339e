"""What the user service answers when it is asked, and the figures it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.base import Contract
from contracts.events import WAITS_FOR_MAX
from contracts.queries import (
    PENDING_SHOWN_MAX,
    AccountView,
    HistoryView,
    LedgerView,
    OperationView,
    PendingView,
    Query,
    ShowAccount,
    ShowHistory,
    ShowOperation,
)
from messaging.domain import Answerer
from user_service import store
from user_service.account import Account, bounds, pass_time, waits
from user_service.operation import UNBOUNDED, Operation
from user_service.tables import ledger


async def show_account(connection: AsyncConnection, query: Query) -> Contract | None:
    """The account as of now: deadlines that have passed have had their effect."""
    assert isinstance(query, ShowAccount)
    now = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    account = await store.read(connection, query.account_id)
    if not account.opened:
        return None
    return account_view(pass_time(account, now).account, now)


def account_view(account: Account, now: datetime) -> AccountView:
    """The account as it is told. Its cost and its size are bounded by the log's length and by `PENDING_SHOWN_MAX`."""
    interval = bounds(account)
    return AccountView(
        account_id=account.id,
        balance=account.balance,
        available=interval.low,
        possible=interval.high if interval.high < UNBOUNDED // 2 else None,
        pending=tuple(_pending(*each) for each in islice(waits(account), PENDING_SHOWN_MAX)),
        pending_count=len(account.log),
        now=now,
    )


async def show_operation(connection: AsyncConnection, query: Query) -> Contract | None:
    """One operation, however long ago."""
    assert isinstance(query, ShowOperation)
    account = await store.read(connection, query.account_id, query.operation_id)
    operation = account.find(query.operation_id)
    if operation is None:
        return None
    return OperationView(
        account_id=account.id,
        operation_id=operation.id,
        kind=operation.kind,
        state=operation.state,
        amount=_amount(operation),
        factor=operation.size if operation.kind == "multiply" else None,
        added=operation.delta if operation.state in ("credited", "multiplied") else None,
        reason=operation.reason,
    )


async def show_history(connection: AsyncConnection, query: Query) -> Contract | None:
    """The ledger, the latest line first."""
    assert isinstance(query, ShowHistory)
    wanted = select(ledger).where(ledger.c.account_id == query.account_id).order_by(ledger.c.seq.desc())
    if query.before_seq is not None:
        wanted = wanted.where(ledger.c.seq < query.before_seq)
    rows = await connection.execute(wanted.limit(query.limit))
    lines = tuple(LedgerView.model_validate(dict(row)) for row in rows.mappings())
    return HistoryView(account_id=query.account_id, lines=lines)


async def gauges(connection: AsyncConnection) -> Mapping[str, float]:
    """Operations that wait or are in flight, and how long the oldest of them has."""
    row = (
        await connection.execute(
            text(
                "SELECT count(*) FILTER (WHERE state = 'waiting') AS waiting,"
                " count(*) FILTER (WHERE state = 'named') AS named,"
                " count(*) FILTER (WHERE state = 'reserved') AS reserved,"
                " extract(epoch FROM now() - min(arrived_at) FILTER (WHERE state = 'waiting')) AS waiting_s,"
                " extract(epoch FROM now() - min(arrived_at) FILTER (WHERE state = 'reserved')) AS reserved_s"
                " FROM operations WHERE pending"
            )
        )
    ).one()
    return {
        "operations_waiting": row.waiting,
        "operations_waiting_oldest_seconds": float(row.waiting_s or 0),
        "operations_named": row.named,
        "reservations_in_flight": row.reserved,
        "reservations_in_flight_oldest_seconds": float(row.reserved_s or 0),
    }


def _pending(operation: Operation, ahead: Sequence[UUID], until: datetime | None) -> PendingView:
    is_waiting = operation.state == "waiting"
    return PendingView(
        operation_id=operation.id,
        kind=operation.kind,
        state=operation.state,
        amount=_amount(operation),
        factor=operation.size if operation.kind == "multiply" else None,
        deadline=operation.deadline,
        waits_for=tuple(ahead[:WAITS_FOR_MAX]) if is_waiting else (),
        waits_until=until if is_waiting else None,
    )


def _amount(operation: Operation) -> int | None:
    return operation.size if operation.kind in ("credit", "reserve", "bonus") else None


ANSWERS: Mapping[type[Query], Answerer] = {
    ShowAccount: show_account,
    ShowOperation: show_operation,
    ShowHistory: show_history,
}
