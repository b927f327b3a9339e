"""Provisioning works in databases that belong to others: what an owner puts there must not act as the administrator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
import pytest

from local.parts import Parts
from local.site import Site
from provision import databases
from provision.databases import at, owner

SERVICE, OTHER = "promo_service", "user_service"
OWNER = owner(SERVICE)
TRAP = f"""
    CREATE SCHEMA evil;
    GRANT USAGE ON SCHEMA evil TO PUBLIC;
    CREATE FUNCTION evil.rise() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
      IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        ALTER ROLE {OWNER} SUPERUSER;
      END IF;
      RETURN true;
    END $$;
    CREATE VIEW evil.pg_roles AS SELECT rolname, evil.rise() AS rolsuper FROM pg_catalog.pg_roles;
    GRANT SELECT ON evil.pg_roles TO PUBLIC;
"""
"""A view by the name of a catalog that provisioning asks: a superuser that reads it makes the view's owner one."""
PATH = "search_path = evil, pg_catalog, public"
HINDRANCES = (
    f"SET role = {OWNER}",
    "SET default_transaction_read_only = on",
    "SET statement_timeout = '1ms'",
    "SET local_preload_libraries = 'nothing'",  # with which nobody gets in
    "CONNECTION LIMIT 0",
    "ALLOW_CONNECTIONS false",
    "IS_TEMPLATE true",
)
"""What an owner may say of its database, and what would keep others from working there."""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def test_an_owner_does_not_rise_by_what_provisioning_asks(site: Site) -> None:
    async with _as_owner(site, SERVICE) as mine:
        await mine.execute(TRAP)
        await mine.execute(f'ALTER DATABASE "{site.prefix}{SERVICE}" SET {PATH}')
        await asyncio.to_thread(site.provision)
        assert await mine.fetchval("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user") is False
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await mine.fetchval("SELECT pg_catalog.pg_read_file('PG_VERSION')")
        await mine.execute("DROP SCHEMA evil CASCADE")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(site.database_url(OTHER, OWNER))


async def test_what_an_owner_sets_meanwhile_is_outranked(site: Site, parts: Parts) -> None:
    """It can be set again between its being reset and the administrator's coming in."""
    name = site.prefix + SERVICE
    async with _as_owner(site, SERVICE) as mine:
        for setting in (PATH, f"role = {OWNER}"):
            await mine.execute(f'ALTER DATABASE "{name}" SET {setting}')
    async with databases._administrator(at(parts.postgres.admin_url, name), parts.postgres.ca_file) as session:
        assert await session.fetchval("SHOW search_path") == "pg_catalog"
        assert await session.fetchval("SELECT current_user") != OWNER
    await asyncio.to_thread(site.provision)


@pytest.mark.parametrize("hindrance", HINDRANCES)
async def test_what_an_owner_says_of_its_database_stops_no_provisioning(site: Site, hindrance: str) -> None:
    async with _as_owner(site, "postgres") as mine:
        await mine.execute(f'ALTER DATABASE "{site.prefix}{SERVICE}" {hindrance}')
    await asyncio.to_thread(site.provision)
    worker = await asyncpg.connect(site.database_url(SERVICE))
    assert await worker.fetchval("SELECT current_user") == SERVICE
    assert await worker.fetchval("SHOW transaction_read_only") == "off"
    await worker.close()


@asynccontextmanager
async def _as_owner(site: Site, database: str) -> AsyncIterator[Connection]:
    """A session of the owner's in its own database, or in one that every cluster has."""
    url = site.database_url(SERVICE, OWNER)
    connection = await asyncpg.connect(at(url, database) if database == "postgres" else url)
    try:
        yield connection
    finally:
        await connection.close()
