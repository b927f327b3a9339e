"""Books that are right: a doubling behind a purchase, with the stock and the code that they used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from client.audit_rows import Books, CodeRow, Entities, EntityRow, LineRow, OperationRow, OrderRow, RedemptionRow
from client.audit_sagas import saga_mismatches

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SOON, PAST = NOW + timedelta(minutes=5), NOW - timedelta(minutes=5)
CREDIT, ORDER, PROMO, PUT, LATER, LAST = (UUID(int=number) for number in range(1, 7))
CODE = "c0de" * 16
RESERVATIONS = ("reserve", "receive", "take", "claim")


@dataclass(frozen=True)
class Op:
    """An operation. `added`: what it added to the state. `answer`: its size, unless the kind answers something else."""

    id: UUID
    kind: str
    size: int
    state: str
    added: int = 0
    asked_by: str = "commands"
    answer: int | None = None
    reason: str | None = None
    answer_by: datetime | None = None
    settle_by: datetime | None = None
    join_by: datetime | None = None
    after: tuple[UUID, ...] = ()
    at: datetime = PAST


def kept(of: str, key: str, *done: Op, pending: tuple[Op, ...] = ()) -> Entities:
    """One entity: what is done makes its ledger, what is pending its log."""
    state, lines, rows = 0, [], []
    for number, op in enumerate(done, start=1):
        said = (op.kind, op.size, op.state, op.reason, op.asked_by)
        lines.append(LineRow(key, number, op.id, *said, state, state + op.added, op.at))
        state += op.added
    for place, op in enumerate((*done, *pending), start=1):
        rows.append(row(key, place, op, is_pending=place > len(done)))
    return Entities(of, NOW, (EntityRow(key, state, len(rows), len(lines)),), tuple(rows), tuple(lines))


def row(key: str, place: int, op: Op, is_pending: bool) -> OperationRow:
    """The operation's row."""
    has_answer = op.state not in ("refused", "outside", "waiting", "accepted")
    deadlines = {"outside": op.join_by, "waiting": op.answer_by, "accepted": op.answer_by, "reserved": op.settle_by}
    return OperationRow(
        key,
        op.id,
        is_pending,
        place,
        op.kind,
        op.size,
        op.state,
        op.after,
        op.join_by,
        op.answer_by,
        op.settle_by,
        deadlines.get(op.state),
        (op.size if op.answer is None else op.answer) if has_answer else None,
        op.reason,
        op.asked_by,
        op.at,
    )


def joined(*each: Entities) -> Entities:
    """Several entities of one service."""
    parts = [(part.entities, part.operations, part.ledger) for part in each]
    entities, operations, ledger = (
        tuple(row for part in column for row in part) for column in zip(*parts, strict=True)
    )
    return Entities(each[0].of, NOW, entities, operations, ledger)


DONE = (
    Op(CREDIT, "credit", 50, "credited", 50),
    Op(ORDER, "reserve", 20, "captured", -20, "order", answer_by=SOON, settle_by=SOON),
    Op(PROMO, "multiply", 2, "multiplied", 30, "promo", answer=30, answer_by=SOON),
)
TAKEN = (
    Op(PUT, "restock", 3, "restocked", 3),
    Op(ORDER, "take", 1, "captured", -1, "order", answer_by=SOON),
)
USED = Op(PROMO, "claim", 10, "captured", 1, "promo", answer=1, answer_by=SOON)
ITS_USE = replace(USED, size=1)

ACCOUNTS = kept("account", "alice", *DONE)
STOCK = kept("item", "sword", *TAKEN)
USES = joined(kept("code", CODE, USED), kept("code", f"{CODE}/alice", ITS_USE))
PURCHASE = OrderRow(ORDER, "alice", "sword", 1, 20, "instant", "completed", PAST)
REDEMPTION = RedemptionRow(PROMO, "alice", CODE, "redeemed", 30, PAST, "multiply", 2)
BOOKS = Books(ACCOUNTS, STOCK, USES, (PURCHASE,), (CodeRow(CODE, 10),), (REDEMPTION,))


def with_operation(books: Entities, operation_id: UUID, **values: object) -> Entities:
    """The same, with one operation's row changed, and not its line."""
    return _changed(books, lambda each: each.operation_id == operation_id, values)


def with_line(books: Entities, seq: int, /, **values: object) -> Entities:
    """The same, with one line changed, and the operation's row where that says the same."""
    found = next(each for each in books.ledger if each.seq == seq)
    shared = {name: value for name, value in values.items() if name in ("kind", "size", "state", "reason", "asked_by")}
    changed = _changed(books, lambda each: each.operation_id == found.operation_id, shared)
    line = replace(found, **values)  # type: ignore[arg-type]
    return replace(changed, ledger=tuple(line if each is found else each for each in books.ledger))


def _changed(books: Entities, is_meant: Callable[[OperationRow], bool], values: dict[str, object]) -> Entities:
    rows = (replace(each, **values) if is_meant(each) else each for each in books.operations)  # type: ignore[arg-type]
    return replace(books, operations=tuple(rows))


def sagas(books: Books) -> set[UUID]:
    """The sagas on which services disagree."""
    return {mismatch.saga for mismatch in saga_mismatches(books)}


def said(books: Books) -> str:
    """What is found of them."""
    return "\n".join(str(mismatch.finding) for mismatch in saga_mismatches(books))


def purchase(order: str, coins: str | None, pieces: str | None, kind: str = "instant", **values: Any) -> Books:
    """The books of one order in this state, with its reservation and its take in these. `kind`: of its item: `instant`,
    `external` (it is not counted), or `counted` (it is, and fulfilled externally).
    """
    fulfilment, counted = ("instant" if kind == "instant" else "external"), kind != "external"
    asked = Op(ORDER, "reserve", 20, coins or "", 0, "order", answer_by=SOON, settle_by=values.pop("until", SOON))
    taken = replace(TAKEN[1], state=pieces or "")
    changed: dict[str, Any] = {"state": order, "placed_at": NOW, "fulfilment": fulfilment, "counted": counted}
    return Books(
        kept("account", "alice", DONE[0], pending=(asked,) if coins else ()),
        kept("item", "sword", TAKEN[0], pending=(taken,) if pieces else ()),
        orders=(replace(PURCHASE, **changed | values),),
    )
