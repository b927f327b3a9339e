"""One site for all of these tests: provisioned and migrated, with no service at work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.parts import Parts
from local.site import Site
from tests.service.sites import fresh


@pytest.fixture(scope="module")
def site(parts: Parts) -> Iterator[Site]:
    """A site that the module has for itself."""
    made = fresh(parts, "sec")
    yield made
    made.drop()
