"""One operation: what it is answered on a balance, and what it leaves possible while it is open. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, assert_never
from uuid import UUID

from contracts.base import Fact
from contracts.events import (
    CoinsCaptured,
    CoinsCredited,
    CoinsExpired,
    CoinsMultiplied,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
    OperationKind,
)

State = Literal["named", "waiting", "reserved", "credited", "captured", "released", "expired", "multiplied", "refused"]
OPEN: frozenset[State] = frozenset(("named", "waiting", "reserved"))

UNBOUNDED = 10**40
"""Stands for infinity: no sum of effects on a balance comes near it."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the account.

    `place`: where it stands in the log. `kind`: None while it is only named. `size`: coins, or the factor of a
    multiply. `deadline`: until when a named place is kept, a waiting operation waits, a reservation holds.
    `delta`: coins it added (negative: took), once settled. `cause`: the type of the message that
    settled it, else of the one that brought it.
    `trace`: the trace context it came with, passed through.
    """

    id: UUID
    place: int
    kind: OperationKind | None
    size: int
    state: State
    deadline: datetime | None = None
    delta: int = 0
    reason: str | None = None
    cause: str = ""
    trace: str | None = None

    @property
    def is_open(self) -> bool:
        """Unanswered, or answered but unsettled."""
        return self.state in OPEN


@dataclass(frozen=True, slots=True)
class Interval:
    """The least and the most coins the account can hold at one position of the log, over all ways the open end."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation is told: its new state, the coins it added at once, and the reason of a refusal."""

    state: State
    delta: int = 0
    reason: str | None = None


def answer(kind: OperationKind, size: int, balance: int) -> Answer:
    """What one program, executing one operation at a time, answers on this balance."""
    match kind:
        case "credit" | "bonus":
            return Answer("credited", size)
        case "reserve":
            return Answer("reserved") if balance >= size else Answer("refused", reason="insufficient_coins")
        case "multiply":
            return Answer("multiplied", balance * (size - 1))
        case _:
            assert_never(kind)


def span(operation: Operation, before: Interval) -> Interval:
    """The interval behind the operation, given the one before it. An unanswered one may still be withdrawn."""
    match operation.state:
        case "named":
            return Interval(0, UNBOUNDED)
        case "reserved":
            return Interval(before.low - operation.size, before.high)
        case "waiting" if operation.kind == "reserve":
            return Interval(0, before.high)
        case "waiting" if operation.kind == "multiply":
            return Interval(before.low, before.high * operation.size)
        case "waiting":
            return Interval(before.low, before.high + operation.size)
        case _:
            return Interval(before.low + operation.delta, before.high + operation.delta)


def answer_fact(account_id: str, operation: Operation) -> Fact | None:
    """What is announced of the operation's present state; None while it has no answer, or was never known to arrive."""
    of: dict[str, Any] = {"account_id": account_id, "operation_id": operation.id}
    match operation.state:
        case "named" | "waiting":
            return None
        case "credited":
            return CoinsCredited(**of, kind=operation.kind, amount=operation.size)  # type: ignore[arg-type]
        case "reserved":
            return CoinsReserved(**of, amount=operation.size, deadline=operation.deadline)  # type: ignore[arg-type]
        case "captured":
            return CoinsCaptured(**of, amount=operation.size)
        case "released":
            return CoinsReleased(**of, amount=operation.size)
        case "expired":
            return CoinsExpired(**of, amount=operation.size)
        case "multiplied":
            return CoinsMultiplied(**of, factor=operation.size, added=operation.delta)
        case "refused":
            if operation.kind is None:
                return None
            return CoinsRefused(**of, kind=operation.kind, reason=operation.reason or "refused")
        case _:
            assert_never(operation.state)
