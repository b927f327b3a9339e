"""Databases for simulated runs."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from local.parts import Parts
from tests.simulation.slot import Place, Slot, drop, make, opened


@pytest.fixture(scope="module")
async def slot(parts: Parts) -> AsyncIterator[Slot]:
    """Databases in which one run after the other is done."""
    place = Place(parts.postgres.admin_url, f"simulated_{secrets.token_hex(4)}_")
    await make(place)
    async with opened(place) as made:
        yield made
    await drop(place)
