"""The audit: reads the three databases and says what is not as it must be. It changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg

from client import audit_queries as ask
from client.audit_entity import entity_findings
from client.audit_rows import Books, Finding
from client.audit_sagas import in_flight, outbox_findings, saga_mismatches, use_findings
from client.errors import Unreachable
from client.settings import CA_FILE, SERVICE_PLACE
from holdfast.delivery.words import Service
from holdfast.tls import of_database, problem

RECHECK_S, RECHECKS_MAX = 1.0, 5
"""What two services say differently is looked at again after this time, so often: they were not read at one moment,
and a busy one may be behind."""
CONNECT_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, how many sagas are in flight, and what is not as it must be. `operations` and `ledger_lines`
    are those of accounts, items and codes together.
    """

    accounts: int
    items: int
    codes: int
    operations: int
    ledger_lines: int
    orders: int
    redemptions: int
    in_flight: int
    findings: tuple[Finding, ...]


async def audit(database_url: str, tls_ca_file: str = "") -> Report:
    """Audit everything. `database_url` has `{service}` for the service's name. Raises `Unreachable`.

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
    kept = (books.accounts, books.stock, books.uses)
    mismatches = [mismatch.finding for mismatch in saga_mismatches(books) if mismatch.saga in suspects]
    return Report(
        accounts=len(books.accounts.entities),
        items=len(books.stock.entities),
        codes=len(books.codes),
        operations=sum(len(each.operations) for each in kept),
        ledger_lines=sum(len(each.ledger) for each in kept),
        orders=len(books.orders),
        redemptions=len(books.redemptions),
        in_flight=in_flight(books),
        findings=(*findings_at_one_moment(books), *mismatches),
    )


def findings_at_one_moment(books: Books) -> Iterator[Finding]:
    """What is wrong in one service's database by itself, which was read as of one moment."""
    for kept in (books.accounts, books.stock, books.uses):
        yield from entity_findings(kept)
    yield from use_findings(books)
    yield from outbox_findings(books.left)


async def read(database_url: str, tls_ca_file: str = "") -> Books:
    """Read the three databases, each as of one moment. Raises `Unreachable`."""
    async with _snapshot(database_url, tls_ca_file, "user_service") as users:
        accounts, left = await ask.entities(users, "account"), await ask.left(users, "user_service")
    async with _snapshot(database_url, tls_ca_file, "order_service") as orders:
        stock, order_rows = await ask.entities(orders, "item"), await ask.orders(orders)
        left += await ask.left(orders, "order_service")
    async with _snapshot(database_url, tls_ca_file, "promo_service") as promos:
        uses, codes = await ask.entities(promos, "code"), await ask.codes(promos)
        redemptions = await ask.redemptions(promos)
        left += await ask.left(promos, "promo_service")
    return Books(accounts, stock, uses, order_rows, codes, redemptions, left)


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
