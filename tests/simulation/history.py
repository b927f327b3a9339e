"""What a run leaves to be judged: what clients sent, what they were told, and when the user service took it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from contracts.events import OrderPlaced
from contracts.roles import AsksReservation, ChangesBalance
from holdfast.delivery.words import Fact

MAY_DIFFER = frozenset(("operation.waiting", "operation.accepted", "order.waiting", "promo.waiting"))
"""Announcements that tell the present state of what is still open."""

_OF_KINDS = frozenset(("coins.credited", "coins.refused", "operation.waiting", "operation.accepted"))


@dataclass(frozen=True, slots=True)
class Told:
    """An announcement as a client heard it first, at `at` seconds after the start. `id`: its message id."""

    at: float
    fact: Fact
    id: UUID


@dataclass
class History:
    """Times are in seconds after the start, except for those of the user service's clock.

    `sent`: when a client first sent the command of this saga. `told`: what was announced of each saga, by type.
    `taken`: when the user service first took the operation. `ended`: when a client heard how the saga ended. `faults`:
    how many of each kind happened. `differing`: announcements made again under one id with another content. `out`: the
    ids of those that the broker took. `searched`: entities whose answers were put in a serial order.
    """

    sent: dict[UUID, float] = field(default_factory=dict)
    told: dict[UUID, dict[str, Told]] = field(default_factory=dict)
    taken: dict[UUID, datetime] = field(default_factory=dict)
    ended: dict[UUID, float] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    differing: list[str] = field(default_factory=list)
    out: set[UUID] = field(default_factory=set)
    deliveries: int = 0
    searched: int = 0

    def happened(self, fault: str) -> None:
        """Count a fault."""
        self.faults[fault] = self.faults.get(fault, 0) + 1

    def announced(self, message_id: UUID, fact: Fact, at: float) -> None:
        """A service announced this, and clients hear it at `at`. What one id says again must be the same."""
        self.out.add(message_id)
        told = self.told.setdefault(_saga(fact), {})
        name = name_of(fact)
        known = told.get(name)
        if known is None:
            told[name] = Told(at, fact, message_id)
        elif known.id == message_id and known.fact != fact and fact.type not in MAY_DIFFER:
            self.differing.append(f"{known.fact!r}, then {fact!r}")

    def amount(self, order_id: UUID) -> int:
        """The coins that an order asked for."""
        placed = self.told[order_id]["order.placed"].fact
        assert isinstance(placed, OrderPlaced)
        return placed.amount

    def took(self, fact: Fact, now: datetime) -> None:
        """The user service committed what this message led to."""
        if isinstance(fact, AsksReservation | ChangesBalance):
            self.taken.setdefault(getattr(fact, fact.saga_field), now)


def name_of(fact: Fact) -> str:
    """The type of an announcement, and the kind of operation where an order's and a promo's are of one type."""
    return f"{fact.type} {fact.kind}" if fact.type in _OF_KINDS else fact.type  # type: ignore[attr-defined]


def _saga(fact: Fact) -> UUID:
    found: UUID = getattr(fact, fact.saga_field)
    return found
