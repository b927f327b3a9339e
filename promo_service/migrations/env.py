"""Run by Alembic."""

from messaging.migrations import run_environment
from promo_service.tables import metadata

run_environment(metadata)
