"""Bring a service's database to the version its code expects, with Alembic."""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from holdfast.delivery.database import asyncpg_url, is_outage
from holdfast.delivery.settings import MigrationSettings, read_settings
from holdfast.tls import of_database, problem

_VERSION_IS_THE_OWNERS = """
DO $$ DECLARE other regrole; BEGIN
  FOR other IN SELECT grantee FROM pg_class, aclexplode(relacl)
    WHERE pg_class.oid = 'alembic_version'::regclass AND grantee <> relowner AND privilege_type = 'INSERT'
  LOOP EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM %s', other); END LOOP;
END $$
"""
"""The rights that working roles get in each new table are too many in this one."""


def config(package: Path, url: str, ca_file: str = "") -> Config:
    """Alembic's configuration for the migrations in `package`/migrations and the database at `url`.

    `ca_file`: by which a database with TLS is verified, if not by what the system trusts.
    """
    made = Config()
    made.set_main_option("script_location", str(package / "migrations"))
    made.attributes["url"] = url
    made.attributes["tls"] = of_database(url, ca_file)
    return made


def migrate(package: Path, url: str, revision: str = "head", ca_file: str = "") -> None:
    """Upgrade the database at `url`, or downgrade it to "base". Two at once wait for each other."""
    made = config(package, url, ca_file)
    if revision == "base":
        command.downgrade(made, revision)
    else:
        command.upgrade(made, revision)


def run_environment(metadata: MetaData) -> None:
    """What a service's migrations/env.py does."""
    attributes = context.config.attributes
    asyncio.run(_migrate(attributes["url"], attributes["tls"], metadata))


async def _migrate(url: str, tls: ssl.SSLContext | bool | None, metadata: MetaData) -> None:
    engine = create_async_engine(asyncpg_url(url), poolclass=NullPool, connect_args={"ssl": tls})
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
    """The entry point of a service's migration step. Exit code 1 for a database that cannot be reached."""
    read = read_settings(settings)
    prefix = settings.model_config.get("env_prefix", "")
    url_name = f"{prefix}MIGRATION_DATABASE_URL"
    try:
        migrate(package, read.migration_database_url, ca_file=read.tls_ca_file)
    except Exception as error:
        reason = problem(error, url_name, f"{prefix}TLS_CA_FILE")
        if not reason and is_outage(error):
            reason = f"{str(getattr(error, 'orig', error))[:200]}: start it, or check {url_name}"
        if not reason:
            raise
        sys.exit(f"{package.name}.migrate: database: {reason}")
