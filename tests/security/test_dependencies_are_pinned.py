"""What is installed is what was locked, byte for byte, and the bill of materials names it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local.advisories import CLEAN, NOT_RUN, VULNERABLE, report

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PINNED = re.compile(
    r"(?P<name>[a-z0-9._-]+(\[[a-z0-9,]+\])?)==(?P<version>[0-9][\w.!+-]*)( ; (?P<marker>[^\\]+?))?"
    r"(?P<hashes>( \\\n    --hash=sha256:[0-9a-f]{64})+)\n",
)


def requirements(lock: Path) -> list[re.Match[str]]:
    """Every requirement of a lock file. Anything in it that is neither that nor a comment fails."""
    text = re.sub(r"^ *#.*\n", "", lock.read_text(), flags=re.MULTILINE)
    found = list(PINNED.finditer(text))
    assert "".join(match.group() for match in found) == text, PINNED.sub("", text)[:300]
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_requirement_has_one_version_and_its_hashes(lock: Path) -> None:
    found = requirements(lock)
    assert found
    named = [(match["name"], match["marker"]) for match in found]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_no_lock_file_names_an_index(lock: Path) -> None:
    """Which index to take them from is the machine's business; the hashes say what they are."""
    assert not re.search(r"://|--index|--extra|--find-links|--trusted", lock.read_text())


def test_what_is_named_is_locked() -> None:
    for source in sorted((ROOT / "requirements").glob("*.in")):
        lines = [line for line in source.read_text().splitlines() if line and line[0] not in "#-"]
        names = {re.split(r"[\[=<> ]", line)[0].lower() for line in lines}
        assert names <= {match["name"].partition("[")[0] for match in requirements(source.with_suffix(".lock"))}


def test_what_runs_is_also_what_is_tested() -> None:
    run, dev = (
        {(match["name"], match["marker"]): match["version"] for match in requirements(ROOT / "requirements" / lock)}
        for lock in ("run.lock", "dev.lock")
    )
    assert run.items() <= dev.items()


def test_the_bill_of_materials_is_that_of_the_lock_file(tmp_path: Path) -> None:
    made = tmp_path / "sbom.json"
    words = ("--output-reproducible", "--no-validate", "--of", "JSON", "--pyproject", "pyproject.toml", "-o", str(made))
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", *words, "requirements/run.lock"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    kept = ROOT / "docs/sbom.cdx.json"
    assert kept.read_bytes() == made.read_bytes(), "run `make sbom`"
    bill = json.loads(kept.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    locked = {
        (match["name"].partition("[")[0], match["version"]) for match in requirements(ROOT / "requirements/run.lock")
    }
    assert {(each["name"], each["version"]) for each in bill["components"]} == locked


def test_the_bill_of_materials_is_of_no_machine_and_no_moment() -> None:
    bill = json.loads((ROOT / "docs/sbom.cdx.json").read_text())
    assert "serialNumber" not in bill
    assert "timestamp" not in bill["metadata"]
    places = {each["url"].split("/")[2] for part in bill["components"] for each in part["externalReferences"]}
    assert places == {"pypi.org"}


@pytest.mark.parametrize(
    ("packages", "code"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], CLEAN),
        ([{"name": "a", "version": "1", "vulns": [{"id": "X-1"}]}, {"name": "b", "skip_reason": "?"}], VULNERABLE),
        ([{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}], NOT_RUN),
        ([], NOT_RUN),
    ],
)
def test_what_was_not_looked_up_is_not_called_clean(packages: list[dict[str, object]], code: int) -> None:
    assert report("a.lock", packages) == code
