"""`make prove`: the long figures of docs/evidence.md, in pieces. A piece is done once on the same code.

What was measured, and which pieces are done on which code, is kept in `docs/evidence.jsonl`, from where any machine can
go on.
`python -m tests.prove --report` prints it as the table of the document.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from local.sources import PROJECT
from tests.evidence import FILE

EVIDENCE = PROJECT / "docs" / "evidence.jsonl"
NUMBER = re.compile(r"\d+(?:\.\d+)?")
PACE = re.compile(r"\d+\.\d+")
"""A value that is nothing but this differs from machine to machine, so that a report gives its range."""

PRODUCT = ("contracts", "holdfast", "user_service", "order_service", "promo_service", "client")
SIMULATION = (*PRODUCT, "tests/simulation")
CELLS = (*PRODUCT, "provision", "tests/security")
MODEL = ("model",)
MUTATION = (*PRODUCT, "tests/unit", "tests/domain", "tests/mutation")
FAULTS = (*PRODUCT, "provision", "local", "tests/faults")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Piece:
    """A part of the proof that is run as a whole. `folders`: of the code that it proves, and that proves it."""

    name: str
    folders: tuple[str, ...]
    arguments: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> int:
        """Run it; its figures are appended to the evidence. Returns its exit code."""
        env = {**os.environ, **self.env, FILE: str(EVIDENCE)}
        return subprocess.run([sys.executable, "-m", *self.arguments], cwd=PROJECT, env=env, check=False).returncode


def pieces() -> Iterator[Piece]:
    """All of it: first what is quick, then what takes hours."""
    rules = "tests/simulation/test_every_broken_rule_is_caught.py"
    yield Piece("broken rules", SIMULATION, ("pytest", "-q", rules))
    yield Piece("permission cells", CELLS, ("pytest", "-q", "-s", "tests/security", "-k", "every_cell"))
    yield Piece("model", MODEL, ("model", "--slow"))
    yield Piece("mutation", MUTATION, ("tests.mutation",))
    yield from _faults()
    for first in range(0, 600_000, 10_000):
        seeds = f"{first}:{first + 10_000}"
        yield Piece(f"simulation in memory {first}", SIMULATION, ("tests.simulation", seeds))
    for first in range(0, 50_000, 2_000):
        seeds = f"{first}:{first + 2_000}"
        on_a_database = ("tests.simulation", seeds, "--tier", "database", "--processes", "2")
        yield Piece(f"simulation on a database {first}", SIMULATION, on_a_database)


def _faults() -> Iterator[Piece]:
    for number in range(5):
        env = {"HOLDFAST_ROUNDS": "2", "HOLDFAST_FIRST_ROUND": str(2 * number + 1)}
        yield _fault(f"kill -9 at each point of each job {number}", "killed_at_every_point", env)
    for number in range(6):
        env = {"HOLDFAST_BROKER_KILLS": "10", "HOLDFAST_BROKER_SEED": f"{3 + number}"}
        yield _fault(f"broker kills before anything is consumed {number}", "broker_killed", env)
    for number in range(10):
        env = {"HOLDFAST_POSTGRES_KILLS": "20", "HOLDFAST_POSTGRES_SEED": f"{4 + number}"}
        yield _fault(f"postgres kills {number}", "postgres_killed", env)
    for number in range(5):
        env = {"HOLDFAST_HOSTILE_MESSAGES": "10000", "HOLDFAST_HOSTILE_FIRST": f"{10_000 * number}"}
        yield _fault(f"hostile messages {number}", "hostile", env)
    yield _fault("purges and a whole day once more", "purged", {})
    yield _fault("order_service stands still for ten minutes", "stands_still", {"HOLDFAST_STILL_S": "600"})
    yield _fault("soak", "soak", {"HOLDFAST_SOAK_S": "1800", "HOLDFAST_SOAK_SEED": "11"})


def _fault(name: str, tests: str, env: Mapping[str, str]) -> Piece:
    return Piece(name, FAULTS, ("pytest", "-q", "-s", "tests/faults", "-k", tests), env)


@app.command()
def main(
    only: Annotated[str, typer.Option(help="pieces whose name begins so")] = "",
    report: Annotated[bool, typer.Option(help="print what was measured, as a table")] = False,
) -> None:
    """Run the pieces that are not done yet on this code, one after the other; end at the first that fails."""
    if report:
        typer.echo(table(EVIDENCE))
        return
    for piece in pieces():
        code = code_of(piece.folders)
        if not piece.name.startswith(only) or (piece.name, code) in done(EVIDENCE):
            continue
        began = time.monotonic()
        typer.echo(f"{piece.name}: {' '.join(piece.arguments)}")
        if piece.run():
            sys.exit(f"{piece.name} failed")
        if code_of(piece.folders) != code:
            sys.exit(f"{piece.name}: the code was changed meanwhile, so nobody knows what was proved")
        typer.echo(f"{piece.name}: done in {time.monotonic() - began:.0f} s")
        with EVIDENCE.open("a") as file:
            file.write(json.dumps({"done": piece.name, "code": code}) + "\n")


def code_of(folders: Sequence[str], project: Path = PROJECT) -> str:
    """A digest of all files in these folders as they are now, committed or not, without those that git ignores."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders]
    names = subprocess.run(listed, cwd=project, capture_output=True, text=True, check=True).stdout.split("\0")
    digest = hashlib.sha256()
    for name in sorted({*names} - {""}):
        if (project / name).is_file():
            content = (project / name).read_bytes()
            digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()[:16]


def _lines(evidence: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in evidence.read_text().splitlines()] if evidence.exists() else []


def done(evidence: Path) -> set[tuple[str, str]]:
    """The pieces that are done, each with the code it was done on. One whose code was not kept is not done."""
    return {(line["done"], line["code"]) for line in _lines(evidence) if "done" in line and "code" in line}


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
    """The value with each of its whole numbers added up, and the largest of each of the others; the range of a pace."""
    if all(PACE.fullmatch(each["value"]) for each in entries):
        paces = [float(each["value"]) for each in entries]
        return " to ".join(dict.fromkeys(f"{each:,.0f}" for each in (min(paces), max(paces))))
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
