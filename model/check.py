"""Running Spin: the model with some switches becomes a program that visits every state."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local import sources
from local.sources import NoPart
from model.configurations import Configuration

MODEL = Path(__file__).with_name("choreography.pml")
MEMORY_MB_MAX = 6000
DEPTH_MAX = 1_000_000
COMPILE_SECONDS_MAX = 300.0
PROCESSES = 12
"""Spin's NFAIR: enough for a process for each kind of message."""


class NotChecked(RuntimeError):
    """Spin or the compiler could not do its work, or not all of it; the text says why."""


@dataclass(frozen=True)
class Result:
    """What was visited, and the first thing found wrong (None: nothing). `depth`: steps of the longest path."""

    states: int
    transitions: int
    depth: int
    memory_mb: float
    seconds: float
    wrong: str | None


def check(configuration: Configuration, seconds_max: float) -> Result:
    """Visit every state. Raises `NotChecked` if not all are visited within the time and memory, `NoPart` without Spin.

    What is found wrong ends the search, so the figures are those up to there.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoPart("No C compiler is on PATH, and Spin's checkers are C programs.\nRemedy: install gcc.")
    spin = sources.spin()
    with tempfile.TemporaryDirectory(prefix="holdfast-model-") as name:
        folder = Path(name)
        switches = [f"-D{key}={value}" for key, value in configuration.switches.items()]
        _run([spin, "-a", *switches, MODEL], folder, COMPILE_SECONDS_MAX)
        kind = [f"-DNFAIR={PROCESSES}"] if configuration.fair else ["-DSAFETY"]
        limits = ["-DCOLLAPSE", f"-DMEMLIM={MEMORY_MB_MAX}"]
        # A broken rule is found after few states, so that compiling takes longer than searching.
        level = "-O2" if configuration.slow else "-O0" if "BROKEN" in configuration.switches else "-O1"
        _run([compiler, level, "-w", *kind, *limits, "-o", "checker", "pan.c"], folder, COMPILE_SECONDS_MAX)
        words = [
            f"-m{DEPTH_MAX}",
            "-w26" if configuration.slow else "-w21",
            *(["-a", "-f"] if configuration.fair else []),
        ]
        return read(_run([folder / "checker", *words], folder, seconds_max))


def read(text: str) -> Result:
    """What Spin's report says. Raises `NotChecked` if it says that not all was visited."""
    for sign in ("out of memory", "max search depth too small", "error:", "hit the limit"):
        if sign in text:
            raise NotChecked(f"the search was not complete:\n{text[:800]}")
    errors = re.search(r"errors: (\d+)", text)
    if errors is None or ("Search not completed" in text and errors[1] == "0"):
        raise NotChecked(f"the search did not end:\n{text[:800]}")
    wrong = re.search(r"^pan:\d+: (.*) \(at depth", text, re.MULTILINE)
    if (errors[1] != "0") != (wrong is not None):
        raise NotChecked(f"the report contradicts itself:\n{text[:800]}")
    return Result(
        states=int(_figure(r"(\d+(?:\.\d+e\+\d+)?) states, (?:stored|visited)", text)),
        transitions=int(_figure(r"(\d+(?:\.\d+e\+\d+)?) transitions", text)),
        depth=int(_figure(r"depth reached (\d+)", text)),
        memory_mb=_figure(r"([\d.]+)\s+total actual memory usage", text),
        seconds=_figure(r"elapsed time ([\d.]+) seconds", text),
        wrong=wrong[1] if wrong else None,
    )


def _figure(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise NotChecked(f"no {pattern!r} in the report:\n{text[:800]}")
    return float(found[1])


def _run(command: Sequence[str | Path], folder: Path, seconds_max: float) -> str:
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, check=False, timeout=seconds_max, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise NotChecked(f"`{Path(words[0]).name}` took more than {seconds_max:.0f} s") from None
    said = done.stdout + done.stderr
    if done.returncode or "Error:" in said:
        raise NotChecked(f"`{Path(words[0]).name}` failed ({done.returncode}): {said[-800:]}")
    return said
