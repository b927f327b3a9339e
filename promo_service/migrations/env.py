"""Run by Alembic."""

from holdfast.delivery.migrations import run_environment
from promo_service.tables import metadata

run_environment(metadata)
