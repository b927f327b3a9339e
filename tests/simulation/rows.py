"""What a run leaves in the services: the rows of their tables, whether they are in memory or in a database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from holdfast.delivery.words import Fact
from holdfast.entities.tables import EntityTables, cause_of, state_of
from order_service.order import Order
from promo_service.redemption import Redemption
from tests.simulation.keeper import MemoryKeeper
from tests.simulation.node import Event


@dataclass(frozen=True, slots=True)
class EntityRow:
    """An entity: its state before its first pending operation, and how many ledger lines it has."""

    key: str
    state: int
    places: int
    lines: int


@dataclass(frozen=True, slots=True)
class OperationRow:
    """An operation, pending or past."""

    key: str
    id: UUID
    pending: bool
    place: int
    kind: str | None
    size: int | None
    state: str
    after: tuple[UUID, ...]
    join_by: datetime | None
    answer_by: datetime | None
    settle_by: datetime | None
    deadline: datetime | None
    answer: int | None
    ending: int | None
    reason: str | None
    asked_by: str
    cause: str
    arrived_at: datetime


@dataclass(frozen=True, slots=True)
class LineRow:
    """A line of a ledger."""

    key: str
    seq: int
    id: UUID
    kind: str
    size: int
    state: str
    reason: str | None
    asked_by: str
    cause: str
    before: int
    after: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Entities:
    """All of one service's."""

    entities: tuple[EntityRow, ...] = ()
    operations: tuple[OperationRow, ...] = ()
    ledger: tuple[LineRow, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order."""

    id: UUID
    account: str
    item: str | None
    quantity: int
    amount: int
    state: str
    reason: str | None
    deadline: datetime | None
    asks: int
    fulfilment: str | None
    placed_at: datetime | None
    counted: bool
    taken: bool


@dataclass(frozen=True, slots=True)
class RedemptionRow:
    """A redemption. `kind`, `size`: its effect."""

    id: UUID
    account: str
    code: str
    state: str
    reason: str | None
    added: int | None
    kind: str | None
    size: int | None
    asks: int
    claimed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Left:
    """What a run leaves. `entities`: of each service. `parked`: dead letters with their reasons. `twice`: messages that
    were handled again although the inbox knew them. `now`: each service's time at the end. `said`: the announcements of
    all that was committed, as far as the services remember them. `accepted` and `waited`: operations that were seen to
    be accepted, and to wait.
    """

    entities: Mapping[str, Entities]
    orders: Sequence[OrderRow]
    redemptions: Sequence[RedemptionRow]
    parked: Sequence[tuple[Fact, str]]
    twice: Sequence[str]
    now: Mapping[str, datetime]
    said: Sequence[Event] = ()
    accepted: frozenset[UUID] = frozenset()
    waited: Mapping[str, frozenset[UUID]] = field(default_factory=dict)

    def rows(self) -> list[Any]:
        """All rows, in one order."""
        of = [
            row
            for each in self.entities.values()
            for some in (each.entities, each.operations, each.ledger)
            for row in some
        ]
        return sorted((*of, *self.orders, *self.redemptions), key=repr)


def entities(keeper: MemoryKeeper) -> Entities:
    """What a keeper in memory keeps."""
    return Entities(
        tuple(EntityRow(key, *row) for key, row in keeper.rows.items()),
        tuple(
            _operation(key, pending, each, keeper.arrived[key, cast(UUID, each.id)])
            for pending, kept in ((True, keeper.pending), (False, keeper.past))
            for key, some in kept.items()
            for each in some.values()
        ),
        tuple(_line(key, each, keeper.lined[key, each.number]) for key, some in keeper.ledger.items() for each in some),
    )


def _operation(key: str, pending: bool, each: Any, arrived_at: datetime) -> OperationRow:
    return OperationRow(
        key,
        each.id,
        pending,
        each.place,
        each.kind.name if each.kind else None,
        each.kind.size if each.kind else None,
        state_of(each),
        tuple(sorted(each.after)),
        each.join_by,
        each.answer_by,
        each.settle_by,
        each.deadline,
        each.answer if isinstance(each.answer, int) else None,
        each.end,
        each.reason,
        each.note.asked_by,
        cause_of(each),
        arrived_at,
    )


def _line(key: str, line: Any, at: datetime) -> LineRow:
    each = line.operation
    named = (each.id, each.kind.name, each.kind.size, state_of(each), each.reason, each.note.asked_by, cause_of(each))
    return LineRow(key, line.number, *named, line.before, line.after, at)


def orders(kept: Iterable[Order]) -> list[OrderRow]:
    """What is told of orders."""
    return [
        OrderRow(
            each.id,
            each.account_id,
            each.item,
            each.quantity,
            each.amount,
            each.state,
            each.reason,
            each.deadline,
            each.asks,
            each.fulfilment,
            each.placed_at,
            each.counted,
            each.taken,
        )
        for each in kept
    ]


def redemptions(kept: Iterable[Redemption]) -> list[RedemptionRow]:
    """What is told of redemptions."""
    return [
        RedemptionRow(
            each.id,
            each.account_id,
            each.code_hash,
            each.state,
            each.reason,
            each.added,
            each.effect.kind if each.effect else None,
            each.effect.size if each.effect else None,
            each.asks,
            each.claimed_at,
        )
        for each in kept
    ]


def statements(tables: EntityTables) -> tuple[tuple[type[Any], str], ...]:
    """What reads the rows of a service's entities from its database."""
    key, state = tables.key, tables.state
    operation = (
        f"{key}, operation_id, pending, place, kind, size, state, after, join_by, answer_by, settle_by, deadline,"
        " answer, ending, reason, asked_by, cause, arrived_at"
    )
    line = f"{key}, seq, operation_id, kind, size, state, reason, asked_by, cause, {state}_before, {state}_after, at"
    return (
        (EntityRow, f"SELECT {key}, {state}, places, lines FROM {tables.entities.name}"),
        (OperationRow, f"SELECT {operation} FROM operations"),
        (LineRow, f"SELECT {line} FROM ledger"),
    )


ORDERS = (
    "SELECT order_id, account_id, item, quantity, amount, state, reason, deadline, asks, fulfilment, placed_at,"
    " counted, taken FROM orders"
)
REDEMPTIONS = (
    "SELECT redemption_id, account_id, code_hash, state, reason, added, kind, size, asks, claimed_at FROM redemptions"
)
