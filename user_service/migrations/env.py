"""Run by Alembic."""

from holdfast.delivery.migrations import run_environment
from user_service.tables import metadata

run_environment(metadata)
