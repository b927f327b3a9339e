"""Which earlier commands a new command is to name in `after`, so that it joins the account behind them. Pure.

Remembered are commands that may not have joined the account's operations yet. What has joined is before all that is
sent from then on, and need not be named; what never joins must not be.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from contracts.base import AFTER_MAX
from contracts.queries import AccountView, OperationView, OrderView, RedemptionView
from holdfast.delivery.words import Contract

REMEMBERED_S = 900.0
"""How long a command is named whose answer is not known, in seconds. One that never comes makes those that name it wait
in vain, and be refused (`named_missing`) when their own time is over, so it is not named for ever. One that is late by
more than this may be overtaken.
"""


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
        """The command has joined the account's operations, or never will."""


def elders(known: Iterable[Earlier], own_id: UUID, now: float) -> tuple[UUID, ...]:
    """Ids of the latest commands that are to come before `own_id`, in the order they were sent.

    All of them, though the last one names the others: it may be refused or withdrawn before those have come. Left out
    are those that said themselves that they come after `own_id`, directly or through others.
    """
    recent = fresh(known, now)
    behind, before = {own_id}, 0
    while len(behind) != before:
        before = len(behind)
        behind |= {each.id for each in recent if behind.intersection(each.after)}
    return tuple(each.id for each in recent if each.id not in behind)[-AFTER_MAX:]


def joined(view: Contract) -> list[tuple[str, UUID]]:
    """The account and each command of which this answer says that it has joined the account's operations, or that it
    has no effect on them.

    A redemption that waits for a use of its code counts as well: it may wait for strangers, and what the account does
    meanwhile is not to wait for them, too.
    """
    match view:
        case AccountView(pending=pending):
            return [(view.account_id, each.operation_id) for each in pending if each.state != "outside"]
        case OperationView(state=state) if state != "outside":
            return [(view.account_id, view.operation_id)]
        case OrderView(state=state) if state != "placed":
            return [(view.account_id, view.order_id)]
        case RedemptionView(state=state) if state != "claimed":
            return [(view.account_id, view.redemption_id)]
        case _:
            return []


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
        known = self._accounts.get(account_id, [])
        if kept := [each for each in known if each.id != own_id]:
            self._accounts[account_id] = kept
        else:
            self._accounts.pop(account_id, None)

    def _forget_old(self, now: float) -> None:
        """Accounts stand in the order of their last command, so only the oldest need a look."""
        while self._accounts:
            account_id = next(iter(self._accounts))
            if fresh(self._accounts[account_id], now):
                return
            del self._accounts[account_id]
