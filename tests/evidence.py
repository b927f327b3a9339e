"""Figures that a run measured: printed as one line each, and kept where the caller asks for them."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from local.sources import PROJECT

FILE = "HOLDFAST_EVIDENCE"
"""The file to which each figure is appended as a line of JSON; without it they are only printed."""


def record(figure: str, value: str, seeds: str = "") -> None:
    """Print a figure with the commit and the time it was measured at, and append it to the file of evidence.

    Each figure is kept as soon as it is known, so that a run that is cut short leaves what it had found.
    """
    commit, date = _commit(), datetime.now(UTC).isoformat(timespec="seconds")
    print(f"figure: {figure} {value} commit {commit} date {date}" + (f" seeds {seeds}" if seeds else ""), flush=True)
    if os.environ.get(FILE):
        line = {"figure": figure, "value": value, "commit": commit, "date": date, "seeds": seeds}
        with Path(os.environ[FILE]).open("a") as file:
            file.write(json.dumps(line) + "\n")


def _commit() -> str:
    """The commit that is checked out; a plus sign says that the tree differs from it in more than its documents."""
    commit = _git("rev-parse", "--short=10", "HEAD").stdout.strip()
    differs = _git("status", "--porcelain", "--", ".", ":!docs").stdout
    return f"{commit or 'unknown'}{'+' if differs else ''}"


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, text=True, check=False)
