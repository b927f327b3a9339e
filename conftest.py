"""What every test may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.guard import throwaway_parts
from local.parts import Parts
from local.sources import PROJECT
from provision import secrets


@pytest.fixture(scope="session")
def parts() -> Iterator[Parts]:
    """A broker and a cluster for the whole session; each test takes a fresh site on them."""
    with throwaway_parts(secrets.ensure(PROJECT / ".env")) as started:
        yield started
