"""`make prove`: the long figures of docs/evidence.md, in pieces. A piece that is done is not done again.

What was measured, and which pieces are done, is kept in `docs/evidence.jsonl`: any machine can go on from there.
`python -m tests.prove --report` prints it as the table of the document.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from local.sources import PROJECT
from tests.evidence import FILE

EVIDENCE = PROJECT / "docs" / "evidence.jsonl"
NUMBER = re.compile(r"\d+(?:\.\d+)?")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Piece:
    """A part of the proof that is run as a whole."""

    name: str
    arguments: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> int:
        """Run it; its figures are appended to the evidence. Returns its exit code."""
        env = {**os.environ, **self.env, FILE: str(EVIDENCE)}
        return subprocess.run([sys.executable, "-m", *self.arguments], cwd=PROJECT, env=env, check=False).returncode


def pieces() -> Iterator[Piece]:
    """All of it: first what is quick, then what takes hours."""
    yield Piece("broken rules", ("pytest", "-q", "tests/simulation/test_every_broken_rule_is_caught.py"))
    yield Piece("permission cells", ("pytest", "-q", "-s", "tests/security", "-k", "every_cell"))
    yield Piece("model", ("model", "--slow"))
    yield Piece("mutation", ("tests.mutation",))
    yield from _faults()
    for first in range(0, 600_000, 10_000):
        yield Piece(f"simulation in memory {first}", ("tests.simulation", f"{first}:{first + 10_000}"))
    for first in range(0, 50_000, 2_000):
        seeds = f"{first}:{first + 2_000}"
        yield Piece(f"simulation on a database {first}", ("tests.simulation", seeds, "--tier", "database"))


def _faults() -> Iterator[Piece]:
    for number in range(5):
        env = {"HOLDFAST_ROUNDS": "2", "HOLDFAST_FIRST_ROUND": str(2 * number + 1)}
        yield _fault(f"kill -9 at each point of each job {number}", "killed_at_every_point", env)
    for number in range(6):
        yield _fault(
            f"broker kills before anything is consumed {number}", "broker_killed", {"HOLDFAST_BROKER_KILLS": "10"}
        )
    for number in range(10):
        yield _fault(f"postgres kills {number}", "postgres_killed", {"HOLDFAST_POSTGRES_KILLS": "20"})
    for number in range(5):
        env = {"HOLDFAST_HOSTILE_MESSAGES": "10000", "HOLDFAST_HOSTILE_FIRST": f"{10_000 * number}"}
        yield _fault(f"hostile messages {number}", "hostile", env)
    yield _fault("purges and a whole day once more", "purged", {})
    for number in range(4):
        yield _fault(f"soak {number}", "soak", {"HOLDFAST_SOAK_S": "600", "HOLDFAST_SOAK_SEED": f"{11 + number}"})


def _fault(name: str, tests: str, env: Mapping[str, str]) -> Piece:
    return Piece(name, ("pytest", "-q", "-s", "tests/faults", "-k", tests), env)


@app.command()
def main(
    only: Annotated[str, typer.Option(help="pieces whose name begins so")] = "",
    report: Annotated[bool, typer.Option(help="print what was measured, as a table")] = False,
) -> None:
    """Run the pieces that are not done yet, one after the other; end at the first that fails."""
    if report:
        typer.echo(table(EVIDENCE))
        return
    for piece in pieces():
        if not piece.name.startswith(only) or piece.name in _done():
            continue
        began = time.monotonic()
        typer.echo(f"{piece.name}: {' '.join(piece.arguments)}")
        if piece.run():
            sys.exit(f"{piece.name} failed")
        typer.echo(f"{piece.name}: done in {time.monotonic() - began:.0f} s")
        with EVIDENCE.open("a") as file:
            file.write(json.dumps({"done": piece.name}) + "\n")


def _lines(evidence: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in evidence.read_text().splitlines()] if evidence.exists() else []


def _done() -> list[str]:
    return [line["done"] for line in _lines(EVIDENCE) if "done" in line]


def table(evidence: Path) -> str:
    """What was measured: figures of one kind are added up, with all their seeds, commits and dates."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in _lines(evidence):
        if "done" in entry:
            continue
        groups.setdefault((entry["figure"], NUMBER.sub("#", entry["value"])), []).append(entry)
    rows = ["| figure | measured | seeds | commit | date |", "| --- | --- | --- | --- | --- |"]
    for (figure, _), entries in sorted(groups.items()):
        commits = " ".join(dict.fromkeys(each["commit"] for each in entries))
        dates = sorted({each["date"][:10] for each in entries})
        rows.append(f"| {figure} | {_sum(entries)} | {_seeds(entries)} | {commits} | {' '.join(dates)} |")
    return "\n".join(rows)


def _sum(entries: list[dict[str, Any]]) -> str:
    """The value with each of its whole numbers added up, and the largest of each of the others."""
    columns = list(zip(*(NUMBER.findall(each["value"]) for each in entries), strict=True))
    longest = iter(f"{max(map(float, each)):,}" if "." in each[0] else f"{sum(map(int, each)):,}" for each in columns)
    return NUMBER.sub(lambda _: next(longest), entries[0]["value"])


def _seeds(entries: list[dict[str, Any]]) -> str:
    """The ranges of seeds, the last one not included; those that touch are joined."""
    ranges: list[tuple[int, int]] = []
    for first, last in sorted(_range(each["seeds"]) for each in entries if each["seeds"]):
        if ranges and ranges[-1][1] >= first:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return ", ".join(f"{first}:{last}" for first, last in ranges)


def _range(seeds: str) -> tuple[int, int]:
    """`first:last`, or `first-last` with the last one included, or one seed."""
    first, _, last = seeds.partition(":")
    if not last:
        first, _, included = seeds.partition("-")
        last = str(int(included or first) + 1)
    return int(first), int(last)


if __name__ == "__main__":
    app()
