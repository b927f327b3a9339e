"""Breaks what decides in every small way that mutmut knows, and fails if no test of its part notices one.

    python -m tests.mutation
    python -m tests.mutation 'user_service.handlers.x__arrive*'     only these

A survivor either shows what the tests miss, or changes nothing: then it is listed with the reason in equivalent.txt.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from local.sources import PROJECT
from tests.evidence import record
from tests.mutation.parts import DECIDES_NOTHING, PARTS, Part, settings
from tests.mutation.survivors import Change, Outcome, change, compare, outcomes, read

HERE = Path(__file__).parent
NEEDED = (
    *("holdfast", "contracts", "user_service", "order_service", "promo_service"),
    *("client", "provision", "local", "examples"),
)
MUTMUT = Path(sys.executable).with_name("mutmut")


def main(patterns: Sequence[str]) -> int:
    """Run, report, and tell whether nothing but what is listed survived."""
    began = time.monotonic()
    listed = read((HERE / "equivalent.txt").read_text())
    found: list[Outcome] = []
    alive: list[Change] = []
    for part in PARTS:
        wanted = [each for each in patterns if each.startswith(part.package)]
        if wanted or not patterns:
            outcomes_of, alive_of = _run(part, wanted)
            found += outcomes_of
            alive += alive_of
    unlisted, stale = compare(alive, listed)
    for outcome in found:
        print(
            f"{outcome.module}: {outcome.mutants} mutants, {outcome.killed} killed, {outcome.endless} never end, "
            f"{len(outcome.alive)} survive"
        )
    for each in unlisted:
        print(f"\nSurvives, and is not listed in equivalent.txt:\n{each}")
    stale = [] if patterns else stale
    for each in stale:
        print(f"\nIs listed in equivalent.txt, and does not survive:\n{each}")
    print(f"{(time.monotonic() - began) / 60:.1f} minutes")
    mutants = sum(outcome.mutants for outcome in found)
    record(
        f"mutants of {' '.join(patterns) or 'the pure modules'}, survivors that change behaviour",
        f"{len(unlisted)} of {mutants} ({len(alive) - len(unlisted)} change nothing)",
    )
    return 1 if unlisted or stale else 0


def _run(part: Part, patterns: Sequence[str]) -> tuple[list[Outcome], list[Change]]:
    """Mutate one part. Returns what became of its mutants, and those that no test noticed."""
    with tempfile.TemporaryDirectory(prefix="holdfast-mutation-") as folder:
        work = Path(folder)
        for name in (*NEEDED, "tests"):
            shutil.copytree(PROJECT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(PROJECT / "pyproject.toml", work)
        (work / "setup.cfg").write_text(settings(part, NEEDED))
        subprocess.run([MUTMUT, "run", *patterns], cwd=work, check=True)
        found = outcomes(work / "mutants", patterns or ["*"], DECIDES_NOTHING)
        return found, [change(name, _diff(work, name)) for outcome in found for name in outcome.alive]


def _diff(work: Path, mutant: str) -> str:
    return subprocess.run([MUTMUT, "show", mutant], cwd=work, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
