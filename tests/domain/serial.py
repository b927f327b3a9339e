"""One program, one balance, one operation at a time: what the account must be indistinguishable from.

Shares no code with the product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

End = Literal["captured", "undone"]

PLENTY = 1_000_000
"""More coins than any history of the tests can bring together."""

SMALL = 14
"""More coins than any reservation in the histories of the tests asks for, with a credit before it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation of the log, in order."""

    name: str
    kind: str
    size: int


def execute(kind: str, size: int, balance: int) -> tuple[str, int]:
    """The answer on this balance, and the balance behind the operation, if nothing undoes it."""
    if kind in ("credit", "bonus"):
        return "credited", balance + size
    if kind == "multiply":
        return f"+{balance * size - balance}", balance * size
    if kind == "reserve":
        return ("reserved", balance - size) if size <= balance else ("refused", balance)
    raise ValueError(kind)


def run(log: Sequence[Entry], ends: Mapping[str, End], withdrawn: Iterable[str]) -> tuple[dict[str, str], list[int]]:
    """Execute the log from no coins. Returns the answer of each operation, and the balances: the first and each after.

    Each reservation must have its end; one that is undone leaves the balance as it was, and so does an operation that
    was withdrawn, which has no answer.
    """
    balance, balances, answers, gone = 0, [0], {}, set(withdrawn)
    for entry in log:
        if entry.name not in gone:
            answers[entry.name], behind = execute(entry.kind, entry.size, balance)
            if not (answers[entry.name] == "reserved" and ends[entry.name] == "undone"):
                balance = behind
        balances.append(balance)
    return answers, balances


def ways(entry: Entry, balance: int, answered: bool, end: End | None) -> set[int]:
    """Every balance that the operation may leave of this one, over all ways it may still end."""
    answer, behind = execute(entry.kind, entry.size, balance)
    if answer == "reserved":
        if end:
            return {behind if end == "captured" else balance}
        return {balance, behind}
    return {behind} if answered else {balance, behind}


def ways_unknown(balance: int) -> set[int]:
    """The same for an operation that has not arrived: it may lapse, spend any part, add anything, multiply.

    So every balance is possible; these are all the small ones, where sizes collide, and one that exceeds every size.
    """
    return {*range(SMALL), balance, balance * 2, balance + PLENTY}
