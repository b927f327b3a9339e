"""The rules of the system, each broken on purpose: switches for tests that show what the checks find.

Each takes pytest's monkeypatch, which mends the rule again. The document of each says what is broken.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation import broken_delivery, broken_entities, broken_services

Break = Callable[[pytest.MonkeyPatch], None]


def broken_rules() -> list[Break]:
    """All of them: of entities, of the services, of delivery."""
    return [
        value
        for module in (broken_entities, broken_services, broken_delivery)
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
    ]
