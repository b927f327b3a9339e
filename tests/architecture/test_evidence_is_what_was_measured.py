"""docs/evidence.md shows the figures that were recorded, and nothing else; what is done is done for its code alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from local.sources import PROJECT
from tests import prove
from tests.prove import EVIDENCE, PRODUCT, Piece, code_of, done, pieces, table


def test_the_table_is_that_of_the_recorded_figures() -> None:
    assert table(EVIDENCE) in (PROJECT / "docs" / "evidence.md").read_text()


def test_each_piece_of_the_proof_has_a_name_of_its_own() -> None:
    names = [piece.name for piece in pieces()]
    assert len(set(names)) == len(names)


def test_each_piece_is_of_the_code_that_it_proves() -> None:
    for piece in pieces():
        assert all((PROJECT / folder).is_dir() for folder in piece.folders)
        assert piece.name == "model" or {*PRODUCT} < {*piece.folders}, piece.name


def a_project(folder: Path) -> Path:
    """With one tracked file, in a folder of code."""
    (folder / "code").mkdir()
    (folder / "code" / "rule.py").write_text("low = high\n")
    (folder / ".gitignore").write_text("*.pyc\n")
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def test_any_change_of_the_code_is_another_code(tmp_path: Path) -> None:
    project = a_project(tmp_path)
    codes = [code_of(["code"], project)]
    for name, text in (("code/rule.py", "low < high\n"), ("code/more.py", "low < high\n")):
        (project / name).write_text(text)
        codes.append(code_of(["code"], project))
    (project / "code" / "more.py").rename(project / "code" / "less.py")
    codes.append(code_of(["code"], project))
    (project / "code" / "rule.py").unlink()
    codes.append(code_of(["code"], project))
    assert len(set(codes)) == 5
    (project / "code" / "rule.pyc").write_text("compiled")
    (project / "notes.md").write_text("elsewhere")
    assert code_of(["code"], project) == codes[-1]


class Proof:
    """One piece in place of all, and how often it ran. `code`: what its folders hold."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path, edited: bool = False) -> None:
        self.evidence, self.code, self.ran, self._edited = folder / "evidence.jsonl", "old", 0, edited
        patch.setattr(prove, "EVIDENCE", self.evidence)
        patch.setattr(prove, "pieces", lambda: [Piece("model", ("model",), ("model",))])
        patch.setattr(prove, "code_of", lambda _: self.code)
        patch.setattr(Piece, "run", lambda _: self._run())

    def _run(self) -> int:
        self.ran += 1
        self.code = "edited meanwhile" if self._edited else self.code
        return 0

    def prove(self) -> int:
        """Its exit code."""
        return CliRunner().invoke(prove.app, []).exit_code


def test_a_piece_is_done_again_once_its_code_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = Proof(monkeypatch, tmp_path)
    proof.evidence.write_text('{"done": "model"}\n')
    assert (proof.prove(), proof.ran) == (0, 1), "on which code it was done was not kept"
    assert (proof.prove(), proof.ran) == (0, 1)
    proof.code = "new"
    assert (proof.prove(), proof.ran) == (0, 2)
    assert done(proof.evidence) == {("model", "old"), ("model", "new")}


def test_what_changes_while_it_is_proved_is_not_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = Proof(monkeypatch, tmp_path, edited=True)
    assert (proof.prove(), proof.ran) == (1, 1)
    assert not done(proof.evidence)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (["101000.4", "199937.8", "150000.0"], "101,000 to 199,938"),
        (["101000.4"], "101,000"),
        (["20, 1", "30, 0"], "50, 1"),
        (["0 anomalies; at most 9.5 s", "0 anomalies; at most 10.5 s"], "0 anomalies; at most 10.5 s"),
    ],
)
def test_figures_of_one_kind_are_one_row(tmp_path: Path, values: list[str], shown: str) -> None:
    evidence = tmp_path / "evidence.jsonl"
    lines = [
        {"figure": "figure", "value": each, "seeds": "", "commit": "c", "date": "2030-01-01T00:00"} for each in values
    ]
    evidence.write_text("\n".join(json.dumps(each) for each in lines))
    assert f"| figure | {shown} |" in table(evidence)
