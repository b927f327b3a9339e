"""Bring a service's database to the version its code expects, with Alembic."""

from __future__ import annotations

import asyncio
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from messaging.database import asyncpg_url
from messaging.settings import MigrationSettings, read_settings

_VERSION_IS_THE_OWNERS = """
DO $$ DECLARE other regrole; BEGIN
  FOR other IN SELECT grantee FROM pg_class, aclexplode(relacl)
    WHERE pg_class.oid = 'alembic_version'::regclass AND grantee <> relowner AND privilege_type = 'INSERT'
  LOOP EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM %s', other); END LOOP;
END $$
"""
"""The rights that working roles get in each new table are too many in this one."""


def config(package: Path, url: str) -> Config:
    """Alembic's configuration for the migrations in `package`/migrations and the database at `url`."""
    made = Config()
    made.set_main_option("script_location", str(package / "migrations"))
    made.attributes["url"] = url
    return made


def migrate(package: Path, url: str, revision: str = "head") -> None:
    """Upgrade the database at `url`, or downgrade it to "base". Two at once wait for each other."""
    made = config(package, url)
    if revision == "base":
        command.downgrade(made, revision)
    else:
        command.upgrade(made, revision)


def run_environment(metadata: MetaData) -> None:
    """What a service's migrations/env.py does."""
    asyncio.run(_migrate(context.config.attributes["url"], metadata))


async def _migrate(url: str, metadata: MetaData) -> None:
    engine = create_async_engine(asyncpg_url(url), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_run, metadata)
    await engine.dispose()


def _run(connection: Connection, metadata: MetaData) -> None:
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
    with context.begin_transaction():
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4061)")
        context.run_migrations()
        connection.exec_driver_sql(_VERSION_IS_THE_OWNERS)
        connection.commit()


def main(package: Path, settings: type[MigrationSettings]) -> None:
    """The entry point of a service's migration step."""
    migrate(package, read_settings(settings).migration_database_url)
