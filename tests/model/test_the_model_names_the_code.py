"""The table in docs/model.md, which keeps the model and the code together, names what there is in both."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import pytest

from contracts.topology import FACTS
from local.sources import PROJECT
from model.check import MODEL

NAME = re.compile(r"`([\w.]+)`")
HEAD = "| in the model | in the code |\n| --- | --- |\n"


def rows() -> list[tuple[list[str], list[str]]]:
    """For each row, the names of the model and those of the code."""
    table = (PROJECT / "docs" / "model.md").read_text().partition(HEAD)[2].partition("\n\n")[0]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines()]
    return [(NAME.findall(model), NAME.findall(code)) for model, code in cells]


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
    owner = parts.pop() if parts[-1][:1].isupper() else None
    file = PROJECT.joinpath(*parts).with_suffix(".py")
    text = file.read_text() if file.is_file() else ""
    if owner:
        of_class = re.search(rf"^class {owner}\b.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
        text = of_class[0].partition("\n")[2] if of_class else ""
    return bool(re.search(rf"^ *(async def|def|class) {name}\b", text, re.MULTILINE))


def test_each_name_of_the_code_is_in_the_code() -> None:
    assert [name for _, code in rows() for name in missing(code)] == []


def test_each_name_of_the_model_is_in_the_model() -> None:
    words = set(re.findall(r"\w+", MODEL.read_text()))
    assert [name for model, _ in rows() for name in model if name not in words] == []


def test_the_table_is_read() -> None:
    assert len(rows()) > 20
    assert all(code for _, code in rows())


@pytest.mark.parametrize(
    "names",
    [
        ["user_service.account.arrives"],
        ["user_service.account.release", "_burry"],
        ["user_service.accounts.release"],
        ["messaging.relay.Relay._sweeps"],
        ["messaging.relay.Inbox._sweep"],
        ["user_service.account.answer"],
        ["order.placed.v9"],
        ["_bury"],
    ],
)
def test_what_is_in_no_code_is_noticed(names: list[str]) -> None:
    assert list(missing(names)) == names[-1:]
