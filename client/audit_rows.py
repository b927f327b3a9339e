"""What the audit reads: rows of the three databases, each of one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from client.audit_oracle import ORACLE

NEVER = datetime.min.replace(tzinfo=UTC)
UNANSWERED = ("outside", "waiting", "accepted")
OPEN = (*UNANSWERED, "reserved")
"""How an operation stands that has not ended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be. `entity`: the account, item or code, or the service where there is none."""

    entity: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.entity}: {self.what}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class EntityRow:
    """An entity: its state before its first pending operation, places that were given, and lines of its ledger."""

    key: str
    state: int
    places: int
    lines: int


@dataclass(frozen=True, slots=True)
class OperationRow:
    """An operation, pending or past. `kind` is None for one that was withdrawn before it arrived."""

    key: str
    operation_id: UUID
    pending: bool
    place: int
    kind: str | None
    size: int | None
    state: str
    after: tuple[UUID, ...] = ()
    join_by: datetime | None = None
    answer_by: datetime | None = None
    settle_by: datetime | None = None
    deadline: datetime | None = None
    answer: int | None = None
    reason: str | None = None
    asked_by: str = ""
    arrived_at: datetime = NEVER

    @property
    def delta(self) -> int:
        """What it adds to its entity's state, as the row says."""
        row = ORACLE.get(self.kind or "")
        return row.adds * (self.answer or 0) if row and self.state == row.done else 0

    def __str__(self) -> str:
        return f"{self.kind} {self.size} (operation {self.operation_id})"


@dataclass(frozen=True, slots=True)
class LineRow:
    """A line of a ledger."""

    key: str
    seq: int
    operation_id: UUID
    kind: str
    size: int
    state: str
    reason: str | None
    asked_by: str
    before: int
    after: int
    at: datetime = NEVER

    def __str__(self) -> str:
        return f"{self.kind} {self.size} (line {self.seq}, operation {self.operation_id})"


@dataclass(frozen=True, slots=True)
class Entities:
    """All entities of one service, at the moment `now` of its clock. `of`: what one of them is."""

    of: str
    now: datetime = NEVER
    entities: tuple[EntityRow, ...] = ()
    operations: tuple[OperationRow, ...] = ()
    ledger: tuple[LineRow, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order. `counted`: it takes pieces from stock. `taken`: it has them, or had. `fulfilment`: `instant` or
    `external`, once its item is known.
    """

    order_id: UUID
    account_id: str
    item: str | None
    quantity: int
    amount: int
    fulfilment: str | None
    state: str
    placed_at: datetime
    counted: bool = True
    taken: bool = False


@dataclass(frozen=True, slots=True)
class CodeRow:
    """A promo code by its hash, and how many uses it may have now; None: any number."""

    code_hash: str
    uses_max: int | None


@dataclass(frozen=True, slots=True)
class RedemptionRow:
    """A redemption. `added`: coins it added, once redeemed. `kind` and `size`: the effect it claimed, if it did."""

    redemption_id: UUID
    account_id: str
    code_hash: str
    state: str
    added: int | None
    claimed_at: datetime
    kind: str | None
    size: int | None


@dataclass(frozen=True, slots=True)
class LeftRow:
    """Messages in a service's outbox that it should have published by now, and since when the oldest is there."""

    service: str
    messages: int
    oldest_at: datetime


@dataclass(frozen=True, slots=True)
class Books:
    """All that is audited. The three databases are read one after the other."""

    accounts: Entities = field(default_factory=lambda: Entities("account"))
    stock: Entities = field(default_factory=lambda: Entities("item"))
    uses: Entities = field(default_factory=lambda: Entities("code"))
    orders: tuple[OrderRow, ...] = ()
    codes: tuple[CodeRow, ...] = ()
    redemptions: tuple[RedemptionRow, ...] = ()
    left: tuple[LeftRow, ...] = ()


def named(of: str, key: str) -> str:
    """How findings name an entity: of a code's hash as much as finds its row."""
    if of != "code":
        return f"{of} {key}"
    code_hash, _, account = key.partition("/")
    return f"code {code_hash[:12]}" + (f" of account {account}" if account else "")
