"""The service's own PostgreSQL: connections, and telling an outage from a bug."""

from __future__ import annotations

import asyncio

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_RETRY_AT_ONCE = frozenset(("40001", "40P01", "23505"))
"""serialization_failure, deadlock_detected, and unique_violation (another replica was first): the same batch, handled
again, sees what the other one committed. PostgreSQL, appendix A."""

_OUTAGE_CLASSES = ("08", "53", "57", "58")
"""Connection exceptions, insufficient resources, operator intervention, system errors. PostgreSQL, appendix A."""


def engine(url: str, name: str, pool_size: int = 5) -> AsyncEngine:
    """Connections to the database at `url` (any `postgresql://` form), shown under `name` in pg_stat_activity."""
    return create_async_engine(
        asyncpg_url(url),
        pool_size=pool_size,
        max_overflow=0,
        connect_args={
            "timeout": 10,
            "command_timeout": 60,
            "server_settings": {"application_name": name, "jit": "off"},
        },
    )


def asyncpg_url(url: str) -> URL:
    """The same database, for SQLAlchemy with asyncpg."""
    return make_url(url).set(drivername="postgresql+asyncpg")


def is_outage(error: BaseException) -> bool:
    """True if the database is away or out of means, so that waiting helps and the work itself is not to blame."""
    if isinstance(error, DBAPIError):
        state: str | None = getattr(error.orig, "sqlstate", None)
        if state:
            return state.startswith(_OUTAGE_CLASSES)
        return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    return isinstance(error, OSError | PoolTimeout | asyncio.TimeoutError)


def is_conflict(error: BaseException) -> bool:
    """True if another transaction was in the way, so that doing the same again at once helps."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _RETRY_AT_ONCE
