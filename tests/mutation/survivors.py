"""What a run of mutmut left alive, and which of it is known to change nothing."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

KILLED = {1, 3}
ENDLESS = {-24, 24, 36, 152, 255}
"""Mutmut's exit codes of a mutant on which the tests failed, and of one on which they did not end."""


@dataclass(frozen=True, slots=True)
class Change:
    """One function with one small change: the lines that went, and those that came instead."""

    function: str
    gone: tuple[str, ...]
    come: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([self.function, *(f"- {line}" for line in self.gone), *(f"+ {line}" for line in self.come)])


@dataclass
class Outcome:
    """What became of the mutants of one module. `alive`: the ids of those that no test noticed."""

    module: str
    mutants: int
    killed: int
    endless: int
    alive: list[str]


def outcomes(folder: Path, patterns: Sequence[str], without: Sequence[str] = ()) -> list[Outcome]:
    """What became of the mutants of these ids, but not those `without`, from the records that mutmut keeps beside each
    module in its folder.
    """
    found = []
    for path in sorted(folder.rglob("*.py.meta")):
        known: dict[str, int | None] = json.loads(path.read_text())["exit_code_by_key"]
        codes = {name: code for name, code in known.items() if _is_of(name, patterns) and not _is_of(name, without)}
        killed = sum(1 for code in codes.values() if code in KILLED)
        endless = sum(1 for code in codes.values() if code in ENDLESS)
        alive = [name for name, code in codes.items() if code not in KILLED | ENDLESS]
        found.append(Outcome(str(path.relative_to(folder)).removesuffix(".meta"), len(codes), killed, endless, alive))
    return found


def _is_of(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, each) for each in patterns)


def change(mutant: str, diff: str) -> Change:
    """The change that a mutant is, named so that it stays the same when others come before it."""
    module, _, name = mutant.rpartition(".")
    function = re.sub(r"^x[_ǁ]|__mutmut_\d+$", "", name).replace("ǁ", ".")
    return _change(f"{module}.{function}", [line for line in diff.splitlines() if line[:3] not in ("---", "+++")])


def _change(function: str, lines: list[str]) -> Change:
    gone = tuple(line[1:].strip() for line in lines if line.startswith("-"))
    come = tuple(line[1:].strip() for line in lines if line.startswith("+"))
    return Change(function, gone, come)


def read(text: str) -> Counter[Change]:
    """The changes that are listed as equivalent. Raises `ValueError` for one without a reason."""
    listed: Counter[Change] = Counter()
    for block in filter(None, re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text).strip())):
        function, *lines = block.splitlines()
        if not re.search(r"(?m)^because \w", block):
            raise ValueError(f"{function}: a change that is listed as equivalent needs a line 'because <reason>'")
        listed[_change(function, lines)] += 1
    return listed


def compare(alive: Iterable[Change], listed: Counter[Change]) -> tuple[list[Change], list[Change]]:
    """The survivors that are not listed, and the listed ones that did not survive."""
    survived = Counter(alive)
    return [*(survived - listed).elements()], [*(listed - survived).elements()]
