"""Which earlier commands a new command is to name in `after`, so that it keeps its place behind them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from contracts.base import AFTER_MAX

REMEMBERED_S = 60.0
"""A command that was sent this long ago has arrived, or its place is no longer kept."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A credit, order or redemption of the account: its id, what it named in `after`, when it was sent (Unix time)."""

    id: UUID
    after: tuple[UUID, ...]
    sent_at: float


class Memory(Protocol):
    """Remembers the recent commands of each account."""

    def follow(self, account_id: str, own_id: UUID, after: tuple[UUID, ...] | None, now: float) -> tuple[UUID, ...]:
        """Note that a command is sent now; returns what it names in `after`: what is given, or else its elders."""

    def forget(self, account_id: str, own_id: UUID) -> None:
        """The command was never sent, or can never arrive at the account."""


def elders(known: Iterable[Earlier], own_id: UUID, now: float) -> tuple[UUID, ...]:
    """Ids of the latest commands that are to come before `own_id`, in the order they were sent.

    Left out are those that said themselves that they come after it, directly or through others.
    """
    recent = fresh(known, now)
    behind, before = {own_id}, 0
    while len(behind) != before:
        before = len(behind)
        behind |= {each.id for each in recent if behind.intersection(each.after)}
    return tuple(each.id for each in recent if each.id not in behind)[-AFTER_MAX:]


def fresh(known: Iterable[Earlier], now: float) -> list[Earlier]:
    """Those that still count, the latest of each id, in the order they were sent."""
    latest = {each.id: each for each in known if abs(now - each.sent_at) <= REMEMBERED_S}
    return sorted(latest.values(), key=lambda each: each.sent_at)[-2 * AFTER_MAX :]


class Recent:
    """Remembers in this process."""

    def __init__(self) -> None:
        self._accounts: dict[str, list[Earlier]] = {}

    def follow(self, account_id: str, own_id: UUID, after: tuple[UUID, ...] | None, now: float) -> tuple[UUID, ...]:
        """See `Memory`."""
        known = self._accounts.get(account_id, [])
        named = elders(known, own_id, now) if after is None else after
        self._accounts.pop(account_id, None)
        self._accounts[account_id] = fresh([*known, Earlier(own_id, named, now)], now)
        self._forget_old(now)
        return named

    def forget(self, account_id: str, own_id: UUID) -> None:
        """See `Memory`."""
        self._accounts[account_id] = [each for each in self._accounts.get(account_id, []) if each.id != own_id]

    def _forget_old(self, now: float) -> None:
        """Accounts stand in the order of their last command, so only the oldest need a look."""
        while self._accounts:
            account_id = next(iter(self._accounts))
            if fresh(self._accounts[account_id], now):
                return
            del self._accounts[account_id]
