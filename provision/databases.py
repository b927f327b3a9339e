"""A database for each service: one role that owns and migrates it, one that works in it, and one that audits all."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from contracts.services import SERVICES
from holdfast.tls import of_database
from provision.secrets import database_password

AUDITOR = "auditor"
SERVICE_CONNECTIONS_MAX = 60
"""A replica holds seven at most. Two that are replaced while a broken network leaves all they had half open: 56."""
OTHERS_CONNECTIONS_MAX = 10
"""An owner's migrations and the auditor's audits take one each. All roles together leave room for the administrator in
a cluster that takes 400, as ours do.
"""
_ITERATIONS = 4096
_LARGE_OBJECTS = "pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid), pg_catalog.lo_from_bytea(oid, bytea)"
"""By these every role could keep data beside the tables, the auditor too."""

_AS_ADMINISTRATOR = {"search_path": "pg_catalog", "role": "none"}
"""What a session starts with outranks what a database's owner has set for it (`ALTER DATABASE … SET`): else names in
our statements could mean the owner's own views and functions, which would run as the administrator.
"""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def provision(admin_url: str, settings: Mapping[str, str], prefix: str = "", ca_file: str = "") -> None:
    """Make roles, databases and rights be as they must, whatever there was before; data is kept.

    `prefix` goes before the names of the databases, so that several sites fit in one cluster; they share the roles.
    `ca_file`: by which a cluster with TLS is verified, if not by what the system trusts. What owners have set for their
    databases is reset, since it could keep everybody else out.
    """
    async with _administrator(admin_url, ca_file) as connection:
        superuser = await _is_superuser(connection)
        for service in SERVICES:
            await _role(connection, owner(service), settings, superuser, OTHERS_CONNECTIONS_MAX)
            await _role(connection, service, settings, superuser, SERVICE_CONNECTIONS_MAX)
            await _database(connection, prefix + service, owner(service), superuser)
        await _role(connection, AUDITOR, settings, superuser, OTHERS_CONNECTIONS_MAX)
        await connection.execute(f"ALTER ROLE {AUDITOR} SET default_transaction_read_only = on")
    for service in SERVICES:
        async with _administrator(at(admin_url, prefix + service), ca_file) as connection:
            await _grant(connection, service, prefix + service, superuser)


async def drop(admin_url: str, prefix: str, ca_file: str = "") -> None:
    """Delete the databases with this prefix and all that is in them. Roles stay, since other sites share them."""
    async with _administrator(admin_url, ca_file) as connection:
        for service in SERVICES:
            await connection.execute(f'DROP DATABASE IF EXISTS "{prefix}{service}" WITH (FORCE)')


async def wait_ready(admin_url: str, wait_s: float, ca_file: str = "") -> None:
    """Return once the cluster takes this login. Raises `TimeoutError` after `wait_s`, and at once if it is refused.

    Raises `ssl.SSLError` at once if it cannot be verified.
    """
    end = time.monotonic() + wait_s
    while True:
        try:
            async with _administrator(admin_url, ca_file, within_s=5):
                return
        except ssl.SSLError:
            raise
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError, TimeoutError) as error:
            if time.monotonic() > end:
                place = urlsplit(admin_url)
                raise TimeoutError(f"PostgreSQL at {place.hostname}:{place.port} is not ready: {error}") from None
            await asyncio.sleep(0.1)


def owner(service: str) -> str:
    """The role that owns the service's database, and that only its migrations log in as."""
    return f"{service}_owner"


def at(url: str, database: str) -> str:
    """The same login, in another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def scram_verifier(password: str) -> str:
    """What PostgreSQL keeps of a password (RFC 5803); sent instead of it, so that no server log can show it."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt_text}${stored_text}:{server_text}"


@asynccontextmanager
async def _administrator(url: str, ca_file: str, within_s: float = 60) -> AsyncIterator[Connection]:
    tls = of_database(url, ca_file)
    connection = await asyncpg.connect(url, timeout=within_s, ssl=tls, server_settings=_AS_ADMINISTRATOR)
    try:
        yield connection
    finally:
        await connection.close()


async def _is_superuser(connection: Connection) -> bool:
    found: bool = await connection.fetchval("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")
    return found


async def _role(
    connection: Connection, name: str, settings: Mapping[str, str], superuser: bool, connections_max: int
) -> None:
    verifier = scram_verifier(settings[database_password(name)])
    flags = "LOGIN NOCREATEDB NOCREATEROLE" + (" NOSUPERUSER NOREPLICATION NOBYPASSRLS" if superuser else "")
    limit = f"CONNECTION LIMIT {connections_max}"
    with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        await connection.execute(f'CREATE ROLE "{name}"')
    await connection.execute(f"ALTER ROLE \"{name}\" {flags} {limit} PASSWORD '{verifier}'")


async def _database(connection: Connection, name: str, owner_role: str, superuser: bool) -> None:
    if not superuser:
        await connection.execute(f'GRANT "{owner_role}" TO CURRENT_USER')
    with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        await connection.execute(f'CREATE DATABASE "{name}" OWNER "{owner_role}" TEMPLATE template0 ENCODING \'UTF8\'')
    await connection.execute(f'ALTER DATABASE "{name}" RESET ALL')
    await connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true IS_TEMPLATE false CONNECTION LIMIT -1')


async def _grant(connection: Connection, service: str, database: str, superuser: bool) -> None:
    """Rights inside one database. Default privileges give the working role what later migrations create, too."""
    defaults = f'ALTER DEFAULT PRIVILEGES FOR ROLE "{owner(service)}" IN SCHEMA public'
    await connection.execute(f"""
        REVOKE ALL ON DATABASE "{database}" FROM PUBLIC;
        GRANT CONNECT ON DATABASE "{database}" TO "{service}", {AUDITOR};
        REVOKE ALL ON SCHEMA public FROM PUBLIC;
        GRANT ALL ON SCHEMA public TO "{owner(service)}";
        GRANT USAGE ON SCHEMA public TO "{service}", {AUDITOR};
        {defaults} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "{service}";
        {defaults} GRANT USAGE ON SEQUENCES TO "{service}";
        {defaults} GRANT SELECT ON TABLES TO {AUDITOR};
    """)
    if superuser:
        await connection.execute(f"REVOKE EXECUTE ON FUNCTION {_LARGE_OBJECTS} FROM PUBLIC")
