"""docs/evidence.md shows the figures that were recorded, and nothing else."""

from __future__ import annotations

from local.sources import PROJECT
from tests.prove import EVIDENCE, pieces, table


def test_the_table_is_that_of_the_recorded_figures() -> None:
    assert table(EVIDENCE) in (PROJECT / "docs" / "evidence.md").read_text()


def test_each_piece_of_the_proof_has_a_name_of_its_own() -> None:
    names = [piece.name for piece in pieces()]
    assert len(set(names)) == len(names)
