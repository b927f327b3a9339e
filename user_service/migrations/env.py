"""Run by Alembic."""

from messaging.migrations import run_environment
from user_service.tables import metadata

run_environment(metadata)
