"""The service's own PostgreSQL: connections, and telling an outage from a bug."""

from __future__ import annotations

import asyncio
from datetime import datetime

from sqlalchemy import DateTime, ScalarSelect, event, func, select
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from holdfast.tls import of_database

_RETRY_AT_ONCE = frozenset(("40001", "40P01", "23505"))
"""serialization_failure, deadlock_detected, and unique_violation (another replica was first): the same batch, handled
again, sees what the other one committed. PostgreSQL, appendix A."""

_OUTAGE_CLASSES = ("08", "25006", "25P03", "28", "3D000", "3F000", "42501", "42703", "42P01", "53", "57", "58")
"""Connection exceptions, a database that takes no writes, a transaction that stood still for too long, a refused login
(as when the password is being changed), a database, schema, right, column or table that is not there (yet),
insufficient resources, operator intervention, system errors. PostgreSQL, appendix A."""

SILENCE_S_MAX = 10
"""How long the service waits for an answer: a connection can end without either side hearing of it."""
READ_S_MAX = 5
"""The same where a person or program waits for a question's answer, and may ask again."""
IDLE_S_MAX = 5
"""How long the database waits for the next statement of an open transaction, whose locks stop the others. Shorter, so
that the locks are gone when the service tries again, also where one such transaction waited for another."""


def engine(
    url: str, name: str, ca_file: str = "", pool_size: int = 5, silence_s_max: float = SILENCE_S_MAX
) -> AsyncEngine:
    """Connections to the database at `url` (any `postgresql://` form), shown under `name` in pg_stat_activity.

    `ca_file`: by which a database with TLS is verified, if not by what the system trusts. `silence_s_max`: after how
    many seconds without an answer all connections are given up.
    """
    made = create_async_engine(
        asyncpg_url(url),
        pool_size=pool_size,
        max_overflow=0,
        connect_args={
            "ssl": of_database(url, ca_file),
            "timeout": SILENCE_S_MAX,
            "command_timeout": silence_s_max,
            "server_settings": {
                "application_name": name,
                "jit": "off",
                "idle_in_transaction_session_timeout": f"{IDLE_S_MAX}s",
            },
        },
    )
    event.listen(made.sync_engine, "handle_error", _give_up_the_silent)
    return made


def _give_up_the_silent(context: ExceptionContext) -> None:
    """Where one connection is not answered, all in the pool are given up with it: each would cost as long a wait."""
    if isinstance(context.original_exception, TimeoutError):
        context.invalidate_pool_on_disconnect = True


def asyncpg_url(url: str) -> URL:
    """The same database, for SQLAlchemy with asyncpg, which is told of TLS by an argument of its own."""
    return make_url(url).set(drivername="postgresql+asyncpg").difference_update_query(["sslmode"])


def is_outage(error: BaseException) -> bool:
    """True if the database is away, out of means or not as it must be, so that waiting helps and the work itself is not
    to blame.
    """
    if isinstance(error, DBAPIError):
        state: str | None = getattr(error.orig, "sqlstate", None)
        if state:
            return state.startswith(_OUTAGE_CLASSES)
        return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    return isinstance(error, OSError | PoolTimeout | asyncio.TimeoutError)


def moment() -> ScalarSelect[datetime]:
    """The database's own time, asked once for the whole statement: an index can find what is compared with it."""
    return select(func.clock_timestamp(type_=DateTime(timezone=True))).scalar_subquery()


def is_given_up(error: BaseException, took_s: float) -> bool:
    """True if the database may have ended the connection because the work between two statements took too long, or the
    process stood still. Doing the same again may end the same.
    """
    return took_s > IDLE_S_MAX and is_outage(error) and not isinstance(error, asyncio.TimeoutError)


def is_conflict(error: BaseException) -> bool:
    """True if another transaction was in the way, or a migration of what a statement reads, so that doing the same
    again at once helps.
    """
    if not isinstance(error, DBAPIError):
        return False
    migrated = isinstance(error.orig, AsyncAdapt_asyncpg_dbapi.InvalidCachedStatementError)
    return migrated or getattr(error.orig, "sqlstate", None) in _RETRY_AT_ONCE
