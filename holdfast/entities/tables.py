"""The tables in which a service keeps its entities with their pending operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Uuid,
    func,
    text,
)

from holdfast.pending import Operation
from holdfast.pending.operation import OVERDUE

_OVERDUE = frozenset(OVERDUE.values())


class NamedKind(Protocol):
    """What a kind tells of itself, to be kept: `done` is what its operation is called once it took effect."""

    @property
    def name(self) -> str: ...

    @property
    def done(self) -> str: ...

    @property
    def size(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Note:
    """What a service keeps with an operation. `asked_by`: the exchange by which it came. `cause`: the type of the
    message that brought or settled it. `trace`: the trace context it came with.
    """

    asked_by: str = ""
    cause: str = ""
    trace: str | None = None


@dataclass(frozen=True)
class EntityTables:
    """`entities`: one row for each. `operations`: every one, for ever, so that a repeat is answered as the first was.
    `ledger`: what each did, in the entity's order; rows are only ever added. `key` and `state`: names of columns.
    """

    entities: Table
    operations: Table
    ledger: Table
    key: str
    state: str


def entity_tables(metadata: MetaData, entities: str, key: str, state: str) -> EntityTables:
    """Declare the tables of a service's entities. `key` names one; `state` is its number before what is pending."""
    return EntityTables(
        Table(
            entities,
            metadata,
            Column(key, String, primary_key=True),
            Column(state, BigInteger, nullable=False),
            CheckConstraint(f"{state} >= 0", name=f"{entities}_{state}_not_negative"),
            Column("places", BigInteger, nullable=False),
            Column("lines", BigInteger, nullable=False),
            Column("stamp", BigInteger, nullable=False),
            Column("opened_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
        ),
        Table(
            "operations",
            metadata,
            Column(key, String, nullable=False),
            Column("operation_id", Uuid, nullable=False),
            Column("pending", Boolean, nullable=False),
            Column("place", BigInteger, nullable=False),
            Column("kind", String),
            Column("size", BigInteger),
            Column("state", String, nullable=False),
            Column("after", ARRAY(Uuid), nullable=False),
            Column("join_by", DateTime(timezone=True)),
            Column("answer_by", DateTime(timezone=True)),
            Column("settle_by", DateTime(timezone=True)),
            Column("deadline", DateTime(timezone=True)),
            Column("answer", BigInteger),
            Column("ending", SmallInteger),
            Column("reason", String),
            Column("asked_by", String, nullable=False),
            Column("cause", String, nullable=False),
            Column("trace", String),
            Column("arrived_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
            PrimaryKeyConstraint(key, "operation_id"),
            Index("operations_pending", key, "place", postgresql_where=text("pending")),
            Index("operations_deadline", "deadline", postgresql_where=text("deadline IS NOT NULL")),
        ),
        Table(
            "ledger",
            metadata,
            Column(key, String, nullable=False),
            Column("seq", BigInteger, nullable=False),
            Column("operation_id", Uuid, nullable=False),
            Column("kind", String, nullable=False),
            Column("size", BigInteger, nullable=False),
            Column("state", String, nullable=False),
            Column("reason", String),
            Column("asked_by", String, nullable=False),
            Column("cause", String, nullable=False),
            Column(f"{state}_before", BigInteger, nullable=False),
            Column(f"{state}_after", BigInteger, nullable=False),
            CheckConstraint(f"{state}_after >= 0", name=f"ledger_{state}_not_negative"),
            Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
            PrimaryKeyConstraint(key, "seq"),
            Index("ledger_operation", key, "operation_id", unique=True),
        ),
        key,
        state,
    )


def state_of(operation: Operation[int]) -> str:
    """The one word for how an operation stands, as messages, tables and people have it."""
    if operation.status == "waiting" and operation.accepted:
        return "accepted"
    if operation.status != "settled":
        return operation.status
    if operation.end is None:
        return "refused"
    return cast(NamedKind, operation.kind).done if operation.how == "answered" else str(operation.how)


def cause_of(operation: Operation[int]) -> str:
    """The type of the message that settled it, else of the one that brought it; `deadline` if its time was over."""
    return "deadline" if operation.status == "settled" and operation.reason in _OVERDUE else operation.note.cause
