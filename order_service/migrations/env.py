"""Run by Alembic."""

from holdfast.delivery.migrations import run_environment
from order_service.tables import metadata

run_environment(metadata)
