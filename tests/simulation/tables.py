"""What each service keeps, in memory: the same rows as in its database, loaded and kept in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from uuid import UUID

from client.audit_rows import (
    AccountRow,
    CodeRow,
    LineRow,
    OperationRow,
    OrderRow,
    RedemptionRow,
    Users,
)
from client.audit_rows import Promos as PromoRows
from contracts.base import Fact
from contracts.commands import PlaceOrder, PutItem, PutPromo, RedeemPromo
from messaging.message import Message
from order_service.handlers import _order_id
from order_service.order import AnswerOverdue, Item, Order, OrderDeadlinePassed
from order_service.store import Orders
from promo_service.codes import code_hash
from promo_service.handlers import _redemption_id
from promo_service.promo import AnswerOverdue as PromoAnswerOverdue
from promo_service.promo import Promo, Redemption
from promo_service.store import Promos, _effect_row
from user_service.account import Account, Line
from user_service.deadlines import DeadlinePassed
from user_service.store import Accounts

CODE_KEY = b"a key that nobody else is to know"


@cache
def hashed(code: str) -> str:
    """As the promo service keeps it."""
    return code_hash(CODE_KEY, code)


class UserTables:
    """Accounts with their operations, and the ledger."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.ledger: dict[str, list[Line]] = {}

    def load(self, messages: Sequence[Message]) -> Accounts:
        ids = {message.fact.subject for message in messages}
        loaded = {each: self.accounts.get(each) or Account(each) for each in ids}
        return Accounts(loaded, dict(loaded))

    def commit(self, state: Accounts) -> None:
        self.accounts.update(state.now)
        for account_id, line in state.lines:
            self.ledger.setdefault(account_id, []).append(line)

    def due(self, now: datetime) -> Sequence[Fact]:
        due = [(deadline, each.id) for each in self.accounts.values() if (deadline := _first(each)) and deadline <= now]
        return [DeadlinePassed(account_id=each) for _, each in sorted(due)]

    def next_due(self) -> datetime | None:
        return min((o.deadline for each in self.accounts.values() for o in each.log if o.deadline), default=None)

    def rows(self, now: datetime) -> Users:
        """What the audit reads of it."""
        opened = [each for each in self.accounts.values() if each.opened]
        operations = [
            OperationRow(account.id, o.id, pending, o.place, o.kind, o.size, o.state, o.deadline, o.delta)
            for account in self.accounts.values()
            for pending, some in ((True, account.log), (False, account.past.values()))
            for o in some
        ]
        lines = [_line_row(account_id, line) for account_id, some in self.ledger.items() for line in some]
        accounts = tuple(AccountRow(each.id, each.balance, each.lines) for each in opened)
        return Users(now, accounts, tuple(operations), tuple(lines))


class OrderTables:
    """The catalog and the orders."""

    def __init__(self) -> None:
        self.orders: dict[UUID, Order] = {}
        self.items: dict[str, Item] = {}
        self.puts: set[UUID] = set()

    def load(self, messages: Sequence[Message]) -> Orders:
        ids = {each for message in messages if (each := _order_id(message.fact))}
        orders = {each: self.orders[each] for each in ids if each in self.orders}
        names = {message.fact.item for message in messages if isinstance(message.fact, PlaceOrder | PutItem)}
        names |= {each.item for each in orders.values() if each.item}
        items = {each: self.items[each] for each in names if each in self.items}
        puts = _known(self.puts, messages, PutItem)
        return Orders(orders, items, dict(orders), dict(items), puts, set(puts))

    def commit(self, state: Orders) -> None:
        self.orders.update(state.orders)
        self.items.update(state.items)
        self.puts |= state.puts

    def due(self, now: datetime) -> Sequence[Fact]:
        orders = self.orders.values()
        late = sorted((each.deadline, each.id) for each in orders if each.deadline and each.deadline <= now)
        unanswered = sorted(
            (each.ask_again_at, each.id) for each in orders if each.ask_again_at and each.ask_again_at <= now
        )
        return [
            *(OrderDeadlinePassed(order_id=each) for _, each in late),
            *(AnswerOverdue(order_id=each) for _, each in unanswered),
        ]

    def next_due(self) -> datetime | None:
        times = [at for each in self.orders.values() for at in (each.deadline, each.ask_again_at) if at]
        return min(times, default=None)

    def rows(self) -> tuple[OrderRow, ...]:
        """What the audit reads of it."""
        return tuple(
            OrderRow(each.id, each.account_id, each.amount, each.state, each.placed_at)  # type: ignore[arg-type]
            for each in self.orders.values()
        )


class PromoTables:
    """Promo codes and redemptions."""

    def __init__(self) -> None:
        self.codes: dict[str, Promo] = {}
        self.redemptions: dict[UUID, Redemption] = {}
        self.puts: set[UUID] = set()

    def load(self, messages: Sequence[Message]) -> Promos:
        facts = [message.fact for message in messages]
        ids = {each for fact in facts if (each := _redemption_id(fact))}
        redemptions = {each: self.redemptions[each] for each in ids if each in self.redemptions}
        names = {hashed(fact.code) for fact in facts if isinstance(fact, RedeemPromo | PutPromo)}
        names |= {each.code_hash for each in redemptions.values()}
        codes = {each: self.codes[each] for each in names if each in self.codes}
        uses = {(hashed(fact.code), fact.account_id) for fact in facts if isinstance(fact, RedeemPromo)}
        holders = {
            use: each.id
            for each in self.redemptions.values()
            if each.state != "refused" and (use := (each.code_hash, each.account_id)) in uses
        }
        puts = _known(self.puts, messages, PutPromo)
        return Promos(redemptions, codes, dict(redemptions), dict(codes), holders, {}, puts, set(puts))

    def commit(self, state: Promos) -> None:
        self.codes.update(state.codes)
        self.redemptions.update(state.redemptions)
        self.puts |= state.puts

    def due(self, now: datetime) -> Sequence[Fact]:
        redemptions = self.redemptions.values()
        due = sorted(
            (each.ask_again_at, each.id) for each in redemptions if each.ask_again_at and each.ask_again_at <= now
        )
        return [PromoAnswerOverdue(redemption_id=each) for _, each in due]

    def next_due(self) -> datetime | None:
        return min((each.ask_again_at for each in self.redemptions.values() if each.ask_again_at), default=None)

    def rows(self) -> PromoRows:
        """What the audit reads of it."""
        return PromoRows(
            tuple(CodeRow(each.code_hash, each.uses) for each in self.codes.values()),
            tuple(_redemption_row(each) for each in self.redemptions.values()),
        )


def _known(puts: set[UUID], messages: Sequence[Message], kind: type[Fact]) -> frozenset[UUID]:
    return frozenset(each.key for each in messages if isinstance(each.fact, kind) and each.key in puts)


def _redemption_row(redemption: Redemption) -> RedemptionRow:
    assert redemption.claimed_at
    return RedemptionRow(
        redemption.id,
        redemption.account_id,
        redemption.code_hash,
        redemption.state,
        redemption.added,
        redemption.claimed_at,
        **_effect_row(redemption.effect) if redemption.effect else {"kind": None, "size": None},
    )


def _first(account: Account) -> datetime | None:
    return min((each.deadline for each in account.log if each.deadline), default=None)


def _line_row(account_id: str, line: Line) -> LineRow:
    o = line.operation
    of = (account_id, line.seq, o.id, o.kind or "", o.size, o.state, o.reason)
    return LineRow(*of, line.balance_before, line.balance_after)
