"""Random histories of each entity, and everything that must hold, over all worlds."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import holdfast.pending
from tests.unit.pending.brute_force import first_fault, main
from tests.unit.pending.subjects import SUBJECTS, Subject


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_no_fault_in_random_histories(subject: Subject) -> None:
    assert first_fault(subject, histories=1_000) is None


def test_the_module_prints_a_figure_for_each_entity(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--histories", "60"]) == 0
    figures = capsys.readouterr().out.splitlines()
    assert figures == [
        f"figure: {each.name}: 0 wrong answers, 0 needless waits, 0 other faults in 10 histories" for each in SUBJECTS
    ]


def test_the_library_imports_the_standard_library_alone() -> None:
    for path in Path(holdfast.pending.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert {alias.name.partition(".")[0] for alias in node.names} <= sys.stdlib_module_names
            if isinstance(node, ast.ImportFrom):
                module = node.module or ""
                assert module.startswith("holdfast.pending") or module.partition(".")[0] in sys.stdlib_module_names
