"""The tables in docs/model.md, which keep the model and the code together, name what there is in both."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import pytest

from contracts.topology import FACTS
from local.sources import PROJECT
from model.check import MODEL
from model.configurations import BROKEN_RULES, CONFIGURATIONS

NAME = re.compile(r"`([\w.]+)`")
HEAD = "| in the model | in the code |\n| --- | --- |\n"
TEXT = "".join(file.read_text() for file in sorted(MODEL.parent.glob("*.pml")))


def table(head: str) -> list[list[str]]:
    """The cells of each row below this head."""
    rows = (PROJECT / "docs" / "model.md").read_text().partition(head)[2].partition("\n\n")[0]
    return [line.strip("| ").split(" | ") for line in rows.splitlines()]


def rows() -> list[tuple[list[str], list[str]]]:
    """For each row, the names of the model and those of the code."""
    return [(NAME.findall(model), NAME.findall(code)) for model, code in table(HEAD)]


def missing(names: Iterable[str]) -> Iterator[str]:
    """Names that are in no code. One without a dot is beside the one before it; an event goes by its type."""
    beside = ""
    for name in names:
        if name in FACTS:
            continue
        beside, _, last = name.rpartition(".") if "." in name else (beside, "", name)
        if not is_defined(beside, last):
            yield name


def is_defined(holder: str, name: str) -> bool:
    """Whether the module, or the class in it, defines the name itself, rather than importing it."""
    parts = holder.split(".")
    owner = parts.pop() if parts[-1].lstrip("_")[:1].isupper() else None
    file = PROJECT.joinpath(*parts).with_suffix(".py")
    text = file.read_text() if file.is_file() else ""
    if owner:
        of_class = re.search(rf"^class {owner}\b.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
        text = of_class[0].partition("\n")[2] if of_class else ""
    return bool(re.search(rf"^ *(async def|def|class) {name}\b", text, re.MULTILINE))


def test_each_name_of_the_code_is_in_the_code() -> None:
    assert [name for _, code in rows() for name in missing(code)] == []


def test_each_name_of_the_model_is_in_the_model() -> None:
    words = set(re.findall(r"\w+", TEXT))
    assert [name for model, _ in rows() for name in model if name not in words] == []


def test_the_table_is_read() -> None:
    assert len(rows()) > 20
    assert all(code for _, code in rows())


def test_each_configuration_has_its_row() -> None:
    told = [
        cells[0].removesuffix(" (slow)")
        for cells in table("| configuration | states | depth |\n| --- | ---: | ---: |\n")
    ]
    assert told == [each.name for each in CONFIGURATIONS]


def test_each_broken_rule_has_its_row() -> None:
    told = [cells[1] for cells in table("| n | broken | caught by |\n| --- | --- | --- |\n")]
    assert told == [each.name for each in BROKEN_RULES if "REDUCED" not in each.configuration.switches]


def test_each_switch_is_one_of_the_model() -> None:
    explained = set(re.findall(r"^ \*   ([A-Z_]+)", TEXT, re.MULTILINE)) | {"PROMOS"}
    configurations = [*CONFIGURATIONS, *(rule.configuration for rule in BROKEN_RULES)]
    assert {switch for each in configurations for switch in each.switches} <= explained


def test_each_rule_that_the_model_can_break_is_broken() -> None:
    breakable = {int(number) for number in re.findall(r"BROKEN [!=]= (\d+)", TEXT)}
    assert {rule.configuration.switches["BROKEN"] for rule in BROKEN_RULES} - {0} == breakable


@pytest.mark.parametrize(
    "names",
    [
        ["user_service.handlers._arrives"],
        ["user_service.handlers._capture", "_captures"],
        ["user_service.handler._capture"],
        ["holdfast.delivery.relay.Relay._sweeps"],
        ["holdfast.delivery.relay.Inbox._sweep"],
        ["user_service.handlers.answer"],
        ["order.placed.v9"],
        ["_bury"],
    ],
)
def test_what_is_in_no_code_is_noticed(names: list[str]) -> None:
    assert list(missing(names)) == names[-1:]
