"""The policy tables of docs/security.md, read as a person reads them: what no row grants is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from contracts.services import PARTICIPANTS
from contracts.services import SERVICES as SERVICES

OWNERS = tuple(f"{name}_owner" for name in SERVICES)
EXCHANGES = {each.service: each.exchange for each in PARTICIPANTS}
PAGES = [
    Path(__file__).parents[2] / "docs/security.md",
    *(each.folder / "README.md" for each in PARTICIPANTS if each.words),
]
"""What services with words of their own add to the tables stands in their folders."""
BROKER, DATABASES = "## The broker's policy", "## The databases' policy"


@dataclass(frozen=True)
class Row:
    """`who` may do each of `actions` with what `names` match. `details`: routing keys, or tables; None for all."""

    who: str
    actions: tuple[str, ...]
    kind: str
    names: tuple[str, ...]
    details: tuple[str, ...] | None
    but: tuple[str, ...] = ()


@dataclass(frozen=True)
class Policy:
    """One table of the page."""

    rows: tuple[Row, ...]

    def grants(self, user: str, action: str, kind: str, name: str, detail: str | None = None) -> bool:
        """Whether a row grants it. `detail`: the routing key or the table, where the action has one."""
        own = user.removesuffix("_owner")
        return any(
            action in row.actions
            and kind == row.kind
            and any(_matches(pattern, name, own) for pattern in row.names)
            and _within(row, detail, own)
            for row in self.rows
            if user in row.who.split()
        )

    def actions(self) -> set[str]:
        """Every action that a row speaks of."""
        return {action for row in self.rows for action in row.actions}


def read(heading: str, clients: tuple[str, ...] = ("client",)) -> Policy:
    """The tables below this heading, with "services", "owners" and "clients" written out."""
    groups = {"services": SERVICES, "owners": OWNERS, "clients": clients}
    lines: list[str] = []
    for page in PAGES:
        text = page.read_text().partition(heading)[2].partition("\n## ")[0]
        lines += [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert lines, heading
    return Policy(tuple(_row(line, groups) for line in lines))


def _row(line: str, groups: dict[str, tuple[str, ...]]) -> Row:
    who, may, what, detail = (cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|"))
    users = [groups.get(each, (each.strip("`"),)) for each in who.split(", ")]
    kind = "exchange" if what.startswith("exchange") else "queue" if what.startswith("queue") else "database"
    named = tuple(re.findall(r"`([^`]+)`", detail))
    return Row(
        who=" ".join(name for group in users for name in group),
        actions=tuple(may.split(", ")),
        kind=kind,
        names=tuple(re.findall(r"`([^`]+)`", what)),
        details=None if not detail or detail.startswith("all") else named,
        but=named if detail.startswith("all but") else (),
    )


def _within(row: Row, detail: str | None, own: str) -> bool:
    if detail is None or row.details is None:
        return detail not in row.but
    return any(_matches(pattern, detail, own) for pattern in row.details)


def _matches(pattern: str, text: str, own: str) -> bool:
    exchanges = [EXCHANGES[own]] if own in EXCHANGES else EXCHANGES.values()
    wanted = re.escape(pattern.replace("<self>", own))
    wanted = wanted.replace("<service>", f"(?:{'|'.join(SERVICES)})").replace(
        "<exchange>", f"(?:{'|'.join(exchanges)})"
    )
    for token, meaning in ((r"\[", "(?:"), (r"\]", ")?"), ("<n>", "[0-9]+"), (r"\*", ".*")):
        wanted = wanted.replace(token, meaning)
    return re.fullmatch(wanted, text, re.DOTALL) is not None
