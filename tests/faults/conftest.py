"""Parts that may be killed, a stage on them, and time for both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.guard import throwaway_parts
from local.parts import Parts
from local.sources import PROJECT
from provision import secrets
from tests.faults.stage import Stage

TIMEOUT_S = 300
"""Longer than what a test of these waits for at a time, for those that name no time of their own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the time."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


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
