"""The services' own handlers, with memory in place of a database: the same rows, loaded and saved alike.

`keeper` keeps a service's entities. Orders, the catalog, codes and redemptions are kept beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.delivery.message import Message
from holdfast.delivery.words import Fact
from holdfast.entities.entities import Entities
from order_service.handlers import DUE_TOGETHER_MAX, OrderHandlers, touched
from order_service.handlers import Limits as OrderLimits
from order_service.order import AnswerOverdue, Item, Order, OrderDeadlinePassed
from order_service.store import Orders
from promo_service.codes import code_hash
from promo_service.handlers import PromoHandlers
from promo_service.promo import AnswerOverdue as PromoAnswerOverdue
from promo_service.redemption import MISSES, MISSES_S, Promo, Redemption
from promo_service.store import Promos
from promo_service.uses import WaitOverdue, key_of
from tests.simulation.keeper import MemoryKeeper
from user_service.handlers import AccountHandlers, Limits

ASK_AGAIN_S, MISSES_MAX = 30.0, 10
CODE_KEY = b"a key that nobody else is to know"


@cache
def hashed(code: str) -> str:
    """As the promo service keeps it."""
    return code_hash(CODE_KEY, code)


@cache
def _made(handlers: type[Any], *settings: object) -> dict[str, Any]:
    """The attributes of such handlers. To make them means to make the statements of a keeper on a database."""
    made: dict[str, Any] = vars(handlers(*settings))
    return made


class MemoryAccounts(AccountHandlers):
    """Handles messages about accounts."""

    def __init__(self, limits: Limits) -> None:
        vars(self).update(_made(AccountHandlers, limits))
        self._keeper: Any = MemoryKeeper()

    @property
    def keeper(self) -> MemoryKeeper:
        """Keeps the accounts."""
        keeper: MemoryKeeper = self._keeper
        return keeper

    def next_due(self) -> datetime | None:
        """When work falls due next."""
        return self.keeper.next_due()


class MemoryOrders(OrderHandlers):
    """Handles messages about orders and the catalog."""

    def __init__(self, limits: OrderLimits) -> None:
        vars(self).update(_made(OrderHandlers, limits))
        self.keeper = MemoryKeeper()
        self.orders: dict[UUID, Order] = {}
        self.items: dict[str, Item] = {}

    async def load(self, _: AsyncConnection | None, messages: Sequence[Message], now: datetime) -> Orders:
        about = touched(messages)
        ids = {*(order_id for order_id, _ in about.placed), *about.others}
        known = [self.orders[each] for each in ids if each in self.orders]
        operations = {*about.puts, *((item, order_id) for order_id, item in about.placed if order_id in about.others)}
        operations |= {(order.item, order.id) for order in known if order.item and order.is_on_stock}
        stock = await self.keeper.load(None, operations) if operations else Entities({}, set())
        waiting = {cast(UUID, each.id) for entity in stock.at.values() for each in entity if each.status == "waiting"}
        orders = {each: self.orders[each] for each in ids | waiting if each in self.orders}
        names = {*stock.at, *(item for _, item in about.placed)}
        return Orders(orders, {each: self.items[each] for each in names if each in self.items}, stock)

    async def save(self, _: AsyncConnection | None, state: Orders) -> None:
        await self.keeper.save(None, state.stock)
        self.orders.update(state.orders)
        self.items.update(state.items)

    async def due(self, _: AsyncConnection | None) -> Sequence[Fact]:
        orders, now = self.orders.values(), self.keeper.now
        late = sorted((each.deadline, each.id) for each in orders if each.deadline and each.deadline <= now)
        unanswered = sorted(
            (each.ask_again_at, each.id) for each in orders if each.ask_again_at and each.ask_again_at <= now
        )
        return [
            *(OrderDeadlinePassed(order_id=each) for _, each in late),
            *(AnswerOverdue(order_id=each) for _, each in unanswered),
        ]

    def next_due(self) -> datetime | None:
        """When work falls due next."""
        times = [at for each in self.orders.values() for at in (each.deadline, each.ask_again_at) if at]
        return min(times, default=None)


class MemoryPromos(PromoHandlers):
    """Handles messages about codes and redemptions."""

    def __init__(self, code_key: bytes, wait_s: float, waiting_max: int) -> None:
        vars(self).update(_made(PromoHandlers, code_key, wait_s, ASK_AGAIN_S, MISSES_MAX, waiting_max))
        self.keeper = MemoryKeeper()
        self.codes: dict[str, Promo] = {}
        self.redemptions: dict[UUID, Redemption] = {}
        self.puts: set[UUID] = set()

    async def load(self, _: AsyncConnection | None, messages: Sequence[Message], now: datetime) -> Promos:
        about = self._touched(messages)
        if not (about.redemptions or about.hashes):
            return Promos({}, {}, {}, {}, Entities({}, set()))
        found = {each: self.redemptions[each] for each in about.redemptions if each in self.redemptions}
        names = about.hashes | {each.code_hash for each in found.values()}
        codes = {each: self.codes[each] for each in names if each in self.codes}
        names = about.hashes | codes.keys()
        waiting = [each for each in self.redemptions.values() if each.awaits]
        found |= {each.id: each for each in waiting if each.awaits == "code" and each.code_hash in names}
        is_open = [each for each in found.values() if each.state in ("waiting", "claimed")]
        pairs = about.pairs | {(each.code_hash, each.account_id) for each in is_open}
        found |= {
            each.id: each for each in waiting if each.awaits == "account" and (each.code_hash, each.account_id) in pairs
        }
        misses: dict[str, int] = {}
        for account in {account for _, account in about.pairs}:
            if count := sum(_is_miss(each, account, now) for each in self.redemptions.values()):
                misses[account] = count
        keys = {*names, *(key_of("account", *pair) for pair in pairs)}
        uses = await self.keeper.load(None, {(key, None) for key in keys})
        puts = frozenset(about.puts & self.puts)
        return Promos(dict(found), dict(codes), found, codes, uses, misses, puts, set(puts))

    async def save(self, _: AsyncConnection | None, state: Promos) -> None:
        await self.keeper.save(None, state.uses)
        self.codes.update(state.codes)
        self.redemptions.update(state.redemptions)
        self.puts |= state.puts

    async def due(self, _: AsyncConnection | None) -> Sequence[Fact]:
        waited = await self.keeper.due(None, DUE_TOGETHER_MAX)
        now = self.keeper.now
        due = [(at, each.id) for each in self.redemptions.values() if (at := each.ask_again_at) and at <= now]
        overdue = [PromoAnswerOverdue(redemption_id=each) for _, each in sorted(due)]
        return [*(WaitOverdue(key=each) for each in waited), *overdue]

    def next_due(self) -> datetime | None:
        """When work falls due next."""
        asked = [at for each in self.redemptions.values() if (at := each.ask_again_at)]
        return min(filter(None, (self.keeper.next_due(), *asked)), default=None)


def _is_miss(redemption: Redemption, account: str, now: datetime) -> bool:
    if redemption.account_id != account or redemption.reason not in MISSES or redemption.claimed_at is None:
        return False
    return redemption.claimed_at > now - timedelta(seconds=MISSES_S)
