"""Parts that may be killed, and a stage on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.guard import throwaway_parts
from local.parts import Parts
from local.sources import PROJECT
from provision import secrets
from tests.faults.stage import Stage


@pytest.fixture(scope="session")
def mortal_parts() -> Iterator[Parts]:
    """A broker and a cluster that no other tests use, so that they can be killed."""
    with throwaway_parts(secrets.ensure(PROJECT / ".env")) as started:
        yield started


@pytest.fixture(scope="session")
def stage(mortal_parts: Parts) -> Iterator[Stage]:
    """The three services at work. Each test leaves them whole and nothing parked; else it opens a stage of its own."""
    opened = Stage(mortal_parts)
    try:
        opened.open()
        yield opened
    finally:
        opened.close()
