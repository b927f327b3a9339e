"""The audit: reads the three databases and says what is not as it must be. It changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import asyncpg

from client.audit_account import OVERDUE_S, account_findings
from client.audit_rows import (
    AccountRow,
    Books,
    CodeRow,
    Finding,
    LeftRow,
    LineRow,
    OperationRow,
    OrderRow,
    Promos,
    RedemptionRow,
    Users,
)
from client.audit_sagas import in_flight, outbox_findings, promo_findings, saga_mismatches
from client.errors import Unreachable
from client.settings import CA_FILE, SERVICE_PLACE
from contracts.base import Service
from contracts.tls import of_database, problem

RECHECK_S, RECHECKS_MAX = 1.0, 5
"""What two services say differently is looked at again after this time, so often: they were not read at one moment,
and a busy one may be behind."""
CONNECT_S_MAX = 5.0

_ACCOUNTS = "SELECT account_id, balance, lines FROM accounts"
_OPERATIONS = "SELECT account_id, operation_id, pending, place, kind, size, state, deadline, delta FROM operations"
_LEDGER = (
    "SELECT account_id, seq, operation_id, kind, size, state, reason, balance_before, balance_after"
    " FROM ledger ORDER BY account_id, seq"
)
_ORDERS = "SELECT order_id, account_id, amount, state, placed_at FROM orders"
_CODES = "SELECT code_hash, uses FROM codes"
_REDEMPTIONS = "SELECT redemption_id, account_id, code_hash, state, added, claimed_at, kind, size FROM redemptions"
_LEFT = (
    "SELECT count(*), min(created_at) FROM outbox"
    " WHERE created_at < clock_timestamp() - make_interval(secs => $1) HAVING count(*) > 0"
)

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, how many sagas are in flight, and what is not as it must be."""

    accounts: int
    operations: int
    ledger_lines: int
    orders: int
    redemptions: int
    in_flight: int
    findings: tuple[Finding, ...]


async def audit(database_url: str, tls_ca_file: str = "") -> Report:
    """Audit all accounts. `database_url` has `{service}` for the service's name. Raises `Unreachable`.

    A database with TLS is verified by `tls_ca_file`, or by what the system trusts.
    """
    books = await read(database_url, tls_ca_file)
    suspects = {mismatch.saga for mismatch in saga_mismatches(books)}
    for _ in range(RECHECKS_MAX):
        if not suspects:
            break
        await asyncio.sleep(RECHECK_S)
        books = await read(database_url, tls_ca_file)
        suspects &= {mismatch.saga for mismatch in saga_mismatches(books)}
    findings = [*account_findings(books.users), *promo_findings(books.promos), *outbox_findings(books.left)]
    findings += [mismatch.finding for mismatch in saga_mismatches(books) if mismatch.saga in suspects]
    return Report(
        accounts=len(books.users.accounts),
        operations=len(books.users.operations),
        ledger_lines=len(books.users.ledger),
        orders=len(books.orders),
        redemptions=len(books.promos.redemptions),
        in_flight=in_flight(books),
        findings=tuple(findings),
    )


async def read(database_url: str, tls_ca_file: str = "") -> Books:
    """Read the three databases, each as of one moment. Raises `Unreachable`."""
    async with _snapshot(database_url, tls_ca_file, "user_service") as users:
        now = await users.fetchval("SELECT clock_timestamp()")
        accounts = await _rows(users, AccountRow, _ACCOUNTS)
        operations = await _rows(users, OperationRow, _OPERATIONS)
        user_books = Users(now, accounts, operations, await _rows(users, LineRow, _LEDGER))
        left = await _left(users, "user_service")
    async with _snapshot(database_url, tls_ca_file, "order_service") as orders:
        order_books = await _rows(orders, OrderRow, _ORDERS)
        left += await _left(orders, "order_service")
    async with _snapshot(database_url, tls_ca_file, "promo_service") as promos:
        codes = await _rows(promos, CodeRow, _CODES)
        promo_books = Promos(codes, await _rows(promos, RedemptionRow, _REDEMPTIONS))
        left += await _left(promos, "promo_service")
    return Books(user_books, order_books, promo_books, left)


@asynccontextmanager
async def _snapshot(
    database_url: str, tls_ca_file: str, service: Service
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """One service's database as of one moment, read-only."""
    url = database_url.replace(SERVICE_PLACE, service)
    try:
        # A database's owner says where names are looked up in it, unless who connects does.
        own_path = {"search_path": "pg_catalog, public"}
        connection = await asyncpg.connect(
            url, timeout=CONNECT_S_MAX, ssl=of_database(url, tls_ca_file), server_settings=own_path
        )
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield connection
        finally:
            await connection.close(timeout=CONNECT_S_MAX)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        parts = urlsplit(url)
        reason = problem(error, "HOLDFAST_AUDIT_DATABASE_URL", CA_FILE) or error
        raise Unreachable(
            f"database {parts.path.strip('/')} at {parts.hostname}:{parts.port or 5432} cannot be read: {reason}"
        ) from error


async def _rows(connection: asyncpg.Connection[asyncpg.Record], row: Callable[..., Row], query: str) -> tuple[Row, ...]:
    return tuple([row(*each) async for each in connection.cursor(query, prefetch=5000)])


async def _left(connection: asyncpg.Connection[asyncpg.Record], service: Service) -> tuple[LeftRow, ...]:
    return tuple([LeftRow(service, *each) for each in await connection.fetch(_LEFT, OVERDUE_S)])
