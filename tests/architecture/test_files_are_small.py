"""A file over 300 lines or a function over 40 wants a reason, which is written here."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "holdfast",
    "contracts",
    "messaging",
    "user_service",
    "order_service",
    "promo_service",
    "client",
    "provision",
    "local",
)
LONG_FILES = {
    "contracts/events.py": "every event, one class each, to be looked up in one place",
    "contracts/queries.py": "every question and its answer, to be looked up in one place",
    "messaging/entities.py": "each column of an entity's tables beside what reads and writes it",
    "order_service/order.py": "one table of seven states and thirteen facts, with its moves beside it",
}
LONG_FUNCTIONS = {"messaging/entity_tables.py:entity_tables": "three tables, one column a line"}


def sources() -> list[Path]:
    return [
        path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if "migrations/versions" not in str(path)
    ]


def test_no_long_file_without_a_reason() -> None:
    long = {str(path.relative_to(ROOT)) for path in sources() if len(path.read_text().splitlines()) > 300}
    assert long == LONG_FILES.keys()


def test_no_long_function_without_a_reason() -> None:
    functions = [
        (path, node)
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = {
        f"{path.relative_to(ROOT)}:{node.name}"
        for path, node in functions
        if (node.end_lineno or node.lineno) - node.lineno + 1 > 40
    }
    assert long == LONG_FUNCTIONS.keys()
