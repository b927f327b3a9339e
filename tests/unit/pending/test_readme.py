"""The example of the README runs, and prints what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import holdfast.pending

README = Path(holdfast.pending.__path__[0], "README.md")


def test_the_example_prints_what_it_says() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    said = re.findall(r"print\(.*# (\w+)", example)
    ran = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == said == ["waiting", "50", "100"]


def test_it_is_one_page() -> None:
    assert len(README.read_text().splitlines()) < 120
