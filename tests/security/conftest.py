"""One site for all of these tests: provisioned and migrated, with no service at work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from local.parts import Parts
from local.site import Site
from tests.service.probe import Probe
from tests.service.sites import fresh


@pytest.fixture(scope="module")
def site(parts: Parts) -> Iterator[Site]:
    """A site that the module has for itself."""
    made = fresh(parts, "sec")
    yield made
    made.drop()


@pytest.fixture
async def probe(site: Site) -> AsyncIterator[Probe]:
    """The world outside the services."""
    async with Probe.at(site) as opened:
        yield opened
