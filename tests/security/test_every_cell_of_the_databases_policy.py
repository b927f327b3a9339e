"""Every role tries everything with every table of every database; what docs/security.md grants works, and nothing else.

Each attempt is a statement that is really executed, in a transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import asyncpg
import pytest

from local.parts import Parts
from local.site import Site
from provision.databases import at
from tests.evidence import record
from tests.security.policy import DATABASES, OWNERS, SERVICES, Policy, read

ROLES = (*SERVICES, *OWNERS, "auditor", "postgres")
OTHERS = ("postgres", "template1")
"""The databases that every cluster has."""
IN_DATABASE = {
    "temporary": "CREATE TEMPORARY TABLE mine (id int)",
    "create schema": "CREATE SCHEMA mine",
    "create table": "CREATE TABLE public.mine (id int)",
    "create function": "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "create large object": "SELECT lo_create(0), lo_creat(-1), lo_from_bytea(0, 'x')",
    "read password": "SELECT rolpassword FROM pg_authid",
    "read file": "SELECT pg_read_file('PG_VERSION')",
}
ON_TABLE = {
    "select": "SELECT * FROM {table}",
    "insert": "INSERT INTO {table} DEFAULT VALUES",
    "update": "UPDATE {table} SET {column} = NULL",
    "delete": "DELETE FROM {table}",
    "truncate": "TRUNCATE {table}",
    "trigger": "CREATE TRIGGER mine BEFORE UPDATE ON {table} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "alter": "ALTER TABLE {table} ADD COLUMN mine int",
    "drop": "DROP TABLE {table} CASCADE",
    "references": "CREATE TABLE room.mine (mine text, FOREIGN KEY (mine) REFERENCES {table})",
    "maintain": "REINDEX TABLE {table}",
    "read lock": "LOCK TABLE {table} IN ACCESS SHARE MODE",
    "write lock": "LOCK TABLE {table} IN ROW EXCLUSIVE MODE",
    "exclusive lock": "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
}
"""`room` is a schema of whoever tries it. Before PostgreSQL 17, which has a privilege for that, an owner maintains."""
ON_SEQUENCE = {"next value": "SELECT nextval('{sequence}')", "set value": "SELECT setval('{sequence}', 7)"}
REFUSALS = (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError, asyncpg.RaiseError)
"""No privilege, not even to see the schema, or the trigger by which the ledger is only added to."""

BEYOND_PRIVILEGES = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.InvalidForeignKeyError,
    asyncpg.DatatypeMismatchError,
)
"""A row that breaks a rule of the table, and a foreign key that does not fit it, got past the privileges."""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def test_every_cell(site: Site, parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    policy, tried = read(DATABASES), 0
    assert policy.actions() == {"connect", *IN_DATABASE, *ON_TABLE, *ON_SEQUENCE}
    wrong: list[str] = []
    for database in (*SERVICES, *OTHERS):
        async with _as_superuser(site, parts, database) as connection:
            tables = await _tables(connection)
            assert bool(tables) == (database in SERVICES)
            for role in ROLES:
                wrong += await _wrong(policy, connection, role, database, tables)
                came = await _logs_in(site, parts, role, database)
                if came != policy.grants(role, "connect", "database", database):
                    wrong.append(f"{role} connect {database}: {came}")
                tried += 1 + len(IN_DATABASE) + len(ON_TABLE) * len(tables)
    assert not wrong, "\n".join(wrong)
    with capsys.disabled():
        record("permission cells of the databases, as in the policy", f"{tried} by {len(ROLES)} roles")


async def test_what_a_later_migration_makes_has_the_rights_of_what_is_there(site: Site, parts: Parts) -> None:
    """And sequences have those of the table, although there are none so far."""
    policy, wrong = read(DATABASES), []
    for database in SERVICES:
        async with _as_superuser(site, parts, database) as connection, connection.transaction():
            assert await _sequences(connection) == []
            await connection.execute(f"SET LOCAL ROLE {database}_owner")
            await connection.execute("CREATE TABLE public.later (number int PRIMARY KEY)")
            await connection.execute("CREATE SEQUENCE public.later_number")
            for role in ROLES:
                wrong += await _wrong(policy, connection, role, database, {"later": "number"})
    assert not wrong, "\n".join(wrong)


async def test_a_login_has_the_rights_of_its_role_and_no_more(site: Site, parts: Parts) -> None:
    """The cells above are tried under `SET ROLE`; the same in sessions that logged in as the role itself."""
    policy = read(DATABASES)
    for role in (*SERVICES, *OWNERS, "auditor"):
        database = role.removesuffix("_owner") if role != "auditor" else "user_service"
        connection = await asyncpg.connect(_url(site, parts, role, database))
        await connection.execute("SET default_transaction_read_only = off")
        wrong = await _wrong(policy, connection, "", database, await _tables(connection), policy_of=role)
        for other in (name for name in ROLES if name != role):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f'SET ROLE "{other}"')
        await connection.close()
        assert not wrong


async def test_the_auditor_begins_read_only(site: Site) -> None:
    connection = await asyncpg.connect(site.database_url("user_service", "auditor"))
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await connection.execute("CREATE TEMPORARY TABLE mine (id int)")
    await connection.close()


async def test_roles_can_make_nothing_of_themselves(site: Site, parts: Parts) -> None:
    async with _as_superuser(site, parts, "postgres") as connection:
        flags = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
        for row in await connection.fetch(
            f"SELECT {flags} FROM pg_roles WHERE rolname = ANY($1)", [*SERVICES, *OWNERS, "auditor"]
        ):
            assert not any(row)
        joined = "SELECT count(*) FROM pg_auth_members JOIN pg_roles ON pg_roles.oid = member WHERE rolname = ANY($1)"
        assert await connection.fetchval(joined, [*SERVICES, *OWNERS, "auditor"]) == 0


@pytest.mark.parametrize("role", [*ROLES, "nobody"])
async def test_no_login_without_the_password(site: Site, parts: Parts, role: str) -> None:
    for password in ("", "wrong", role):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(_url(site, parts, "postgres", "postgres"), user=role, password=password)


@asynccontextmanager
async def _as_superuser(site: Site, parts: Parts, database: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(_url(site, parts, "postgres", database))
    try:
        yield connection
    finally:
        await connection.close()


def _url(site: Site, parts: Parts, role: str, database: str) -> str:
    url = site.database_url("user_service", role) if role != "postgres" else parts.postgres.admin_url
    return at(url, database if database in OTHERS else site.prefix + database)


async def _tables(connection: Connection) -> dict[str, str]:
    """Each table with its first column."""
    rows = await connection.fetch(
        "SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') AND attnum = 1"
    )
    return {row["relname"]: row["attname"] for row in rows}


async def _sequences(connection: Connection) -> list[str]:
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'"
    )
    return [row["relname"] for row in rows]


async def _wrong(
    policy: Policy,
    connection: Connection,
    role: str,
    database: str,
    tables: dict[str, str],
    policy_of: str = "",
) -> list[str]:
    """The cells that come out otherwise than the policy says. `role`: whom to act as, empty for the session's own."""
    cells: list[tuple[str, str | None, str]] = [(action, None, each) for action, each in IN_DATABASE.items()]
    cells += [
        (action, table, statement.format(table=f'public."{table}"', column=column))
        for table, column in tables.items()
        for action, statement in ON_TABLE.items()
        # Who logged in by itself may have no room for a table that references another.
        if role or action != "references"
    ]
    cells += [
        (action, None, statement.format(sequence=f'public."{sequence}"'))
        for sequence in await _sequences(connection)
        for action, statement in ON_SEQUENCE.items()
    ]
    found = []
    for action, table, statement in cells:
        came = await _works(connection, role, statement)
        if came != policy.grants(policy_of or role, action, "database", database, table):
            found.append(f"{policy_of or role} {action} {database} {table}: {'worked' if came else 'refused'}")
    return found


async def _works(connection: Connection, role: str, statement: str) -> bool:
    transaction = connection.transaction()
    await transaction.start()
    try:
        if role:
            await connection.execute("SET LOCAL ROLE NONE")
            if "room." in statement:
                await connection.execute(f'CREATE SCHEMA room AUTHORIZATION "{role}"')
            await connection.execute(f'SET LOCAL ROLE "{role}"')
        with suppress(*BEYOND_PRIVILEGES):
            await connection.execute(statement)
    except REFUSALS:
        return False
    finally:
        await transaction.rollback()
    return True


async def _logs_in(site: Site, parts: Parts, role: str, database: str) -> bool:
    try:
        connection = await asyncpg.connect(_url(site, parts, role, database))
    except asyncpg.InsufficientPrivilegeError:
        return False
    await connection.close()
    return True
