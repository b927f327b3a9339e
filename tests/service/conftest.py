"""A site of its own for each module of tests, what is heard there, and each service at work alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from local.parts import Parts
from local.site import Site
from tests.service.probe import Probe
from tests.service.sites import Instance, fresh, running


@pytest.fixture(scope="module")
def site(parts: Parts) -> Iterator[Site]:
    """A fresh site; ids of accounts, orders and redemptions are fresh in each test, so that tests don't meet."""
    made = fresh(parts)
    yield made
    made.drop()


@pytest.fixture
async def probe(site: Site) -> AsyncIterator[Probe]:
    """The world outside the service."""
    async with Probe.at(site) as opened:
        yield opened


@pytest.fixture
async def users(site: Site) -> AsyncIterator[Instance]:
    """The user service, alone."""
    async with running(site, "user_service") as instance:
        yield instance


@pytest.fixture
async def orders(site: Site) -> AsyncIterator[Instance]:
    """The order service, alone."""
    async with running(site, "order_service") as instance:
        yield instance


@pytest.fixture
async def promos(site: Site) -> AsyncIterator[Instance]:
    """The promo service, alone."""
    async with running(site, "promo_service") as instance:
        yield instance
