"""The table language of these tests: one move a line, and what is announced of it.

    time  verb      name  size  options               announced
    0     credit    c     50                       -> c credited 50
    1     reserve   a     20    for 60             -> a reserved 20 until 61
    2     multiply  m     2     for 30 after b,x   -> m waits at 1 for a,b,x until 32
          balance 50 | 0..any | a b x m

Times and `for` (how long it may wait, or holds) are seconds. The other verbs are `open`, `bonus`, `capture`, `release`
(its order failed), `cancel` and `sweep` (time passes and nothing else). A line that starts with `balance` says what
the account holds: the balance, the bounds behind its log, and the names in its log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import get_args
from uuid import UUID

from contracts.base import Fact
from contracts.events import (
    AccountOpened,
    CoinsCaptured,
    CoinsCredited,
    CoinsExpired,
    CoinsMultiplied,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
    OperationKind,
    OperationWaiting,
)
from user_service import account as rules
from user_service.operation import UNBOUNDED, Operation

START = datetime(2030, 1, 1, tzinfo=UTC)
NO_LIMITS = rules.Limits()
ANY_KIND: frozenset[OperationKind] = frozenset(get_args(OperationKind))

ARRIVALS: dict[str, OperationKind] = {
    "credit": "credit",
    "bonus": "bonus",
    "reserve": "reserve",
    "multiply": "multiply",
}


@dataclass(frozen=True, slots=True)
class Move:
    """One line of a table. `at` and `lasts` are seconds."""

    at: int
    verb: str
    name: str = ""
    size: int = 0
    lasts: int | None = None
    after: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = [f"{self.at:<4}", self.verb, self.name, str(self.size or "")]
        words += [f"for {self.lasts}"] if self.lasts else []
        words += [f"after {','.join(self.after)}"] if self.after else []
        return " ".join(word for word in words if word)


def parse(line: str) -> Move:
    """The move that a line states."""
    at, verb, *words = line.split()
    move, rest = Move(int(at), verb, "".join(words[:1])), words[1:]
    if rest and rest[0].isdigit():
        move, rest = replace(move, size=int(rest[0])), rest[1:]
    for word, value in zip(rest[::2], rest[1::2], strict=True):
        if word == "for":
            move = replace(move, lasts=int(value))
        elif word == "after":
            move = replace(move, after=tuple(value.split(",")))
        else:
            raise ValueError(f"{word!r} in {line!r}")
    return move


@cache
def id_of(name: str) -> UUID:
    """The id that a name stands for."""
    return UUID(int=int.from_bytes(name.encode(), "big"))


@cache
def name_of(operation_id: UUID) -> str:
    """The name that an id stands for."""
    return operation_id.bytes.lstrip(b"\0").decode()


def time_of(at: int) -> datetime:
    """The time that is `at` seconds from the start."""
    return START + timedelta(seconds=at)


def seconds_of(time: datetime) -> int:
    """How many seconds after the start this is."""
    return round((time - START).total_seconds())


def play(account: rules.Account, move: Move, limits: rules.Limits) -> rules.Step:
    """What the rules make of this move. Raises `Conflict`."""
    now = time_of(move.at)
    kind = ARRIVALS.get(move.verb)
    if kind:
        until = time_of(move.at + move.lasts) if move.lasts else None
        operation = Operation(id_of(move.name), 0, kind, move.size, "waiting", until, cause=move.verb)
        return rules.arrive(account, operation, tuple(map(id_of, move.after)), now, limits)
    match move.verb:
        case "open":
            return rules.open_account(account)
        case "capture":
            return rules.capture(account, id_of(move.name), now, "order.confirmed")
        case "release":
            return rules.release(account, id_of(move.name), now, "order_failed", "order.failed", ANY_KIND)
        case "cancel":
            return rules.release(account, id_of(move.name), now, "cancelled", "order.cancelled", ANY_KIND)
        case "sweep":
            return rules.pass_time(account, now)
        case other:
            raise ValueError(f"no such verb: {other!r}")


def describe(fact: Fact) -> str:
    """The fact as a table says it."""
    match fact:
        case AccountOpened():
            return "opened"
        case CoinsCredited(operation_id=of, amount=amount):
            return f"{name_of(of)} credited {amount}"
        case CoinsReserved(operation_id=of, amount=amount, deadline=deadline):
            return f"{name_of(of)} reserved {amount} until {seconds_of(deadline)}"
        case CoinsRefused(operation_id=of, reason=reason):
            return f"{name_of(of)} refused {reason}"
        case CoinsCaptured(operation_id=of, amount=amount):
            return f"{name_of(of)} captured {amount}"
        case CoinsReleased(operation_id=of, amount=amount):
            return f"{name_of(of)} released {amount}"
        case CoinsExpired(operation_id=of, amount=amount):
            return f"{name_of(of)} expired {amount}"
        case CoinsMultiplied(operation_id=of, factor=factor, added=added):
            return f"{name_of(of)} multiplied by {factor} +{added}"
        case OperationWaiting(operation_id=of, position=position, waits_for=ahead, deadline=deadline):
            until = f" until {seconds_of(deadline)}" if deadline else ""
            return f"{name_of(of)} waits at {position} for {','.join(map(name_of, ahead))}{until}"
        case other:
            raise ValueError(f"no words for {other!r}")


def describe_all(facts: Iterable[Fact]) -> str:
    """Everything that one move announced."""
    return "; ".join(map(describe, facts)) or "nothing"


def describe_account(account: rules.Account) -> str:
    """The balance, the bounds and the log, as a table says them."""
    behind = rules.bounds(account)
    high = "any" if behind.high >= UNBOUNDED else str(behind.high)
    names = " ".join(name_of(operation.id) for operation in account.log)
    return f"balance {account.balance} | {behind.low}..{high} | {names}".rstrip(" ")


def play_table(table: str, limits: rules.Limits = NO_LIMITS) -> rules.Account:
    """Play a table and return the account; fails at the first line that is not as the table says."""
    account, asked, told = rules.Account("ada"), [], []
    for line in filter(None, map(str.strip, table.splitlines())):
        if line.startswith("balance"):
            asked.append(line)
            told.append(describe_account(account))
            continue
        text, _, expected = line.partition("->")
        try:
            step = play(account, parse(text), limits)
            account, announced = step.account, describe_all(step.facts)
        except rules.Conflict:
            announced = "conflict"
        asked.append(f"{' '.join(text.split())} -> {' '.join(expected.split())}")
        told.append(f"{' '.join(text.split())} -> {announced}")
    assert told == asked, "\n".join(f"{'  ' if a == b else '! '}{b}" for a, b in zip(asked, told, strict=True))
    return account
