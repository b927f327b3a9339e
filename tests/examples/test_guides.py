"""The guides keep what they say: few files, and code that is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs/guides"
SOURCES = ("contracts", "user_service", "client", "examples")
OPERATION_FILES_MAX, SERVICE_FILES_MAX = 8, 3


def files_that_name(text: str, *but: str) -> set[str]:
    """The files in git that hold the text, in capitals or not, but for those below these paths."""
    command = ["git", "grep", "-l", "-i", "--untracked", text, "--", *(f":!{each}" for each in but)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not found.stderr
    return set(found.stdout.split())


def test_a_service_changes_three_files_outside_of_its_folder() -> None:
    """Documents and the tests of the whole may name it; nothing else needs to."""
    found = files_that_name(r"gift_service\|gift\.send", "examples/gift_service", "docs", "*.md", "tests")
    assert {"contracts/services.py", "compose.yaml"} <= found
    assert len(found) <= SERVICE_FILES_MAX, found


def test_an_operation_changes_as_many_files_as_its_guide_says() -> None:
    guide = (GUIDES / "add-an-operation.md").read_text()
    named = set(re.findall(r"^\| \d+ \| `([^`]+)` \|", guide, re.MULTILINE))
    found = files_that_name(r"account\.fee\|coins\.charged\|\bfee\b", "docs/guides", "*.md", "LICENSE")
    assert named <= found
    assert not [each for each in found - named if not each.startswith("tests/")]
    assert len(named) <= OPERATION_FILES_MAX


@pytest.mark.parametrize("name", ["add-a-service.md", "add-an-operation.md"])
def test_the_code_in_a_guide_is_in_the_code(name: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (GUIDES / name).read_text(), re.DOTALL)
    paths = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    code = {line.strip().rstrip(",") for path in paths for line in path.open()}
    assert blocks
    lines = [line.strip().rstrip(",") for block in blocks for line in block.splitlines()]
    assert not [line for line in lines if line and line not in code]
