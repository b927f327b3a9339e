"""Run by Alembic."""

from examples.gift_service.tables import metadata
from holdfast.delivery.migrations import run_environment

run_environment(metadata)
