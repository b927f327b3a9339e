"""Run by Alembic."""

from examples.gift_service.tables import metadata
from messaging.migrations import run_environment

run_environment(metadata)
