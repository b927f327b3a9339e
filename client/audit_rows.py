"""What the audit reads: rows of the three databases, each of one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be. `account`: the account, or the code or database where there is none."""

    account: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.account}: {self.what}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account: its balance before its first pending operation, and how many ledger lines it has."""

    account_id: str
    balance: int
    lines: int


@dataclass(frozen=True, slots=True)
class OperationRow:
    """An operation, pending or past. `size`: coins, or the factor of a multiply. `delta`: coins it added."""

    account_id: str
    operation_id: UUID
    pending: bool
    place: int
    kind: str | None
    size: int
    state: str
    deadline: datetime | None
    delta: int


@dataclass(frozen=True, slots=True)
class LineRow:
    """A line of the ledger."""

    account_id: str
    seq: int
    operation_id: UUID
    kind: str
    size: int
    state: str
    reason: str | None
    balance_before: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order."""

    order_id: UUID
    account_id: str
    amount: int
    state: str
    placed_at: datetime


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
class CodeRow:
    """A promo code by its hash, and how many uses are taken."""

    code_hash: str
    uses: int


@dataclass(frozen=True, slots=True)
class LeftRow:
    """Messages in a service's outbox that it should have published by now, and since when the oldest is there."""

    service: str
    messages: int
    oldest_at: datetime


@dataclass(frozen=True, slots=True)
class Users:
    """The user service's database at the moment `now` of its clock."""

    now: datetime
    accounts: tuple[AccountRow, ...] = ()
    operations: tuple[OperationRow, ...] = ()
    ledger: tuple[LineRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Promos:
    """The promo service's database at one moment."""

    codes: tuple[CodeRow, ...] = ()
    redemptions: tuple[RedemptionRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Books:
    """All three, read one after the other."""

    users: Users
    orders: tuple[OrderRow, ...] = ()
    promos: Promos = field(default_factory=Promos)
    left: tuple[LeftRow, ...] = ()
