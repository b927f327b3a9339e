"""A survivor is known by what it changes, and fails the run unless it is listed with a reason; so does a stale one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from local.sources import PROJECT
from tests.mutation.parts import PARTS
from tests.mutation.survivors import Change, Outcome, change, compare, outcomes, read

DIFF = """# shop.price.x__round__mutmut_3: survived
--- shop/price.py
+++ shop/price.py
@@ -1,2 +1,2 @@
 def _round(coins: float) -> int:
-    return int(coins + 1)
+    return int(coins + 2)
"""
ROUND = Change("shop.price._round", ("return int(coins + 1)",), ("return int(coins + 2)",))


def test_a_change_is_named_by_its_function_and_lines() -> None:
    assert change("shop.price.x__round__mutmut_3", DIFF) == ROUND
    assert change("shop.price.xǁPriceǁround__mutmut_12", DIFF).function == "shop.price.Price.round"


def test_what_is_printed_can_be_listed_with_a_reason_and_not_without() -> None:
    assert read(f"# changes nothing\n\n{ROUND}\nbecause nobody looks\n\n{ROUND}\nbecause so\n") == Counter({ROUND: 2})
    with pytest.raises(ValueError, match=r"shop\.price\._round: .* needs a line 'because <reason>'"):
        read(str(ROUND))


def test_unlisted_and_stale_ones_are_told_apart() -> None:
    other = Change("shop.price.name", ("a",), ("b",))
    assert compare([ROUND], Counter({ROUND: 1})) == ([], [])
    assert compare([ROUND, ROUND], Counter({ROUND: 1, other: 1})) == ([ROUND], [other])


def test_only_failed_tests_and_endless_ones_count_as_noticed(tmp_path: Path) -> None:
    codes = {"killed": 1, "crashed": 3, "endless": -24, "survived": 0, "untested": 33, "never run": None}
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "price.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    assert outcomes(tmp_path, ["*"]) == [Outcome("shop/price.py", 6, 2, 1, ["survived", "untested", "never run"])]
    assert outcomes(tmp_path, ["un*"]) == [Outcome("shop/price.py", 1, 0, 0, ["untested"])]
    rest = Outcome("shop/price.py", 3, 1, 1, ["survived"])
    assert outcomes(tmp_path, ["*"], without=["un*", "crashed", "never*"]) == [rest]


def test_every_listed_change_is_of_a_line_that_is_there() -> None:
    listed = read((PROJECT / "tests" / "mutation" / "equivalent.txt").read_text())
    for each in listed:
        (part,) = (part for part in PARTS if each.function.startswith(f"{part.package}."))
        module = each.function.removeprefix(f"{part.package}.").partition(".")[0]
        source = PROJECT / f"{part.package.replace('.', '/')}/{module}.py"
        lines = {line.strip() for line in source.read_text().splitlines()}
        assert set(each.gone) <= lines, f"{each.function} has no such line any more:\n{each}"


def test_each_part_mutates_modules_and_runs_tests_that_are_there() -> None:
    for part in PARTS:
        for module in part.modules:
            assert (PROJECT / part.package.replace(".", "/") / f"{module}.py").is_file()
        for test in part.tests:
            assert (PROJECT / "tests" / test.partition("::")[0]).exists()
