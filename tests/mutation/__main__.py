"""Breaks the pure modules in every small way that mutmut knows, and fails if no test of tests/domain notices one.

    python -m tests.mutation
    python -m tests.mutation 'user_service.account.x_arrive*'     only these

A survivor either shows what the tests miss, or changes nothing: then it is listed with the reason in equivalent.txt.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from local.sources import PROJECT
from tests.evidence import record
from tests.mutation.survivors import change, compare, outcomes, read

HERE = Path(__file__).parent
NEEDED = ("contracts", "messaging", "user_service", "order_service", "promo_service", "client", "provision", "local")
MUTMUT = Path(sys.executable).with_name("mutmut")


def main(patterns: list[str]) -> int:
    """Run, report, and tell whether nothing but what is listed survived."""
    began = time.monotonic()
    listed = read((HERE / "equivalent.txt").read_text())
    with tempfile.TemporaryDirectory(prefix="holdfast-mutation-") as folder:
        work = Path(folder)
        _copy(work)
        subprocess.run([MUTMUT, "run", *patterns], cwd=work, check=True)
        found = outcomes(work / "mutants", patterns or ["*"])
        alive = [change(name, _diff(work, name)) for outcome in found for name in outcome.alive]
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


def _copy(work: Path) -> None:
    for name in (*NEEDED, "tests"):
        shutil.copytree(PROJECT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", work)
    shutil.copy(HERE / "setup.cfg", work)


def _diff(work: Path, mutant: str) -> str:
    return subprocess.run([MUTMUT, "show", mutant], cwd=work, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
