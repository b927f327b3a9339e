"""What the user service answers when it is asked, and the figures it shows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.queries import (
    AccountView,
    HistoryView,
    LedgerView,
    OperationView,
    ShowAccount,
    ShowHistory,
    ShowOperation,
)
from holdfast.delivery.domain import Answerer
from holdfast.delivery.queries import Query
from holdfast.delivery.words import Contract
from holdfast.entities.tables import state_of
from holdfast.entities.views import pending, pending_gauges
from holdfast.pending import Entity
from user_service.store import keeper
from user_service.tables import accounts

ledger = accounts.ledger


class Views:
    """Answers questions about accounts from what is kept."""

    def __init__(self) -> None:
        self._keeper = keeper()

    async def show_account(self, connection: AsyncConnection, query: Query) -> Contract | None:
        """The account as of now: deadlines that have passed have had their effect."""
        assert isinstance(query, ShowAccount)
        now = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
        state = await self._keeper.load(connection, {(query.account_id, None)}, lock=False)
        if query.account_id not in state.opened:
            return None
        account = state.at[query.account_id]
        account.pass_time(now)
        return account_view(query.account_id, account, now)

    async def show_operation(self, connection: AsyncConnection, query: Query) -> Contract | None:
        """One operation, however long ago."""
        assert isinstance(query, ShowOperation)
        touched = {(query.account_id, query.operation_id)}
        account = (await self._keeper.load(connection, touched, lock=False)).at[query.account_id]
        operation = account.find(query.operation_id)
        if operation is None:
            return None
        kind: Any = operation.kind
        adds = operation.adds() if operation.status == "settled" and operation.end is not None else None
        return OperationView(
            account_id=query.account_id,
            operation_id=query.operation_id,
            kind=kind.name if kind else None,
            state=state_of(operation),
            size=kind.size if kind else None,
            added=adds[0] if adds and operation.end == 0 else None,
            reason=operation.reason,
        )


def account_view(account_id: str, account: Entity[int], now: datetime) -> AccountView:
    """The account as it is told. Its cost and its size are bounded by the log's length and by `PENDING_SHOWN_MAX`."""
    least, greatest = account.bounds or (0, 0)
    return AccountView(
        account_id=account_id,
        balance=account.state,
        available=max(least, 0),
        possible=greatest,
        pending=pending(account),
        pending_count=len(account),
        now=now,
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
    return await pending_gauges(connection)


def answers() -> Mapping[type[Query], Answerer]:
    """What is answered by which."""
    views = Views()
    return {ShowAccount: views.show_account, ShowOperation: views.show_operation, ShowHistory: show_history}
