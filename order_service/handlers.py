"""What the order service does with each message: find the order and its item, let `order.py` decide, keep it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.base import Fact
from contracts.commands import PlaceOrder, PutItem
from contracts.events import CoinsRefused, OrderCancelled, OrderCompleted, OrderFailed
from contracts.topology import facts_for
from messaging.domain import Domain, Refused
from messaging.message import Announcement, Message
from order_service import store, views
from order_service.order import (
    AnswerOverdue,
    Contradiction,
    Item,
    Order,
    OrderDeadlinePassed,
    Situation,
    Step,
    decide,
)
from order_service.settings import Settings
from order_service.store import Orders
from order_service.tables import delivery

DUE_TOGETHER_MAX = 500


class OrderHandlers:
    """Handles messages about orders and the catalog. `deadline_s`: for orders that name none. `ask_again_s`: how long
    the user service's answer is waited for before it is asked again.
    """

    def __init__(self, deadline_s: float, ask_again_s: float = 30.0) -> None:
        self._deadline_s, self._ask_again_s = deadline_s, ask_again_s

    async def load(self, connection: AsyncConnection, messages: Sequence[Message], now: datetime) -> Orders:
        """Lock and read the orders and items that these messages are about."""
        ids = {each for message in messages if (each := _order_id(message.fact))}
        names = {message.fact.item for message in messages if isinstance(message.fact, PlaceOrder | PutItem)}
        puts = {message.key for message in messages if isinstance(message.fact, PutItem)}
        return await store.load(connection, ids, names, puts)

    def handle(self, state: Orders, message: Message, now: datetime) -> Sequence[Announcement]:
        """Decide one message."""
        if isinstance(message.fact, PutItem):
            _put(state, message.key, message.fact)
            return []
        order_id = _order_id(message.fact)
        if order_id is None:
            return []
        order = state.orders.get(order_id) or Order(order_id, trace=message.trace)
        try:
            step = self._decide(state, order, message.fact, now)
        except Contradiction as error:
            raise Refused(str(error)) from None
        if step.order is not order:
            state.orders[order_id] = step.order
        if step.item is not None and step.item is not state.items.get(step.item.name):
            state.items[step.item.name] = step.item
        return [_announcement(step, fact) for fact in step.facts]

    async def save(self, connection: AsyncConnection, state: Orders) -> None:
        """Keep what changed."""
        await store.save(connection, state)

    async def due(self, connection: AsyncConnection) -> Sequence[Fact]:
        """Orders whose deadline has passed, and those whose answer is overdue."""
        late = await store.due(connection, DUE_TOGETHER_MAX)
        unanswered = await store.unanswered(connection, DUE_TOGETHER_MAX)
        return [
            *(OrderDeadlinePassed(order_id=each) for each in late),
            *(AnswerOverdue(order_id=each) for each in unanswered),
        ]

    def _decide(self, state: Orders, order: Order, fact: Fact, now: datetime) -> Step:
        name = fact.item if isinstance(fact, PlaceOrder) else order.item
        item = state.items.get(name) if name else None
        return decide(Situation(order, item, now, self._deadline_s, self._ask_again_s), fact)


def _put(state: Orders, key: UUID, put: PutItem) -> None:
    """Set the item, once for each message: again it would bring back what was sold since, and undo later puts."""
    if key not in state.puts:
        state.puts.add(key)
        state.items[put.item] = Item(put.item, put.price, put.stock, put.fulfilment)


def _order_id(fact: Fact) -> UUID | None:
    """The order that the fact is about; None if it is about the catalog, a promo code or a credit."""
    if isinstance(fact, CoinsRefused) and fact.kind != "reserve":
        return None
    return getattr(fact, fact.saga_field) if fact.saga_field in ("order_id", "operation_id") else None


def _announcement(step: Step, fact: Fact) -> Announcement:
    ends = isinstance(fact, OrderCompleted | OrderFailed | OrderCancelled)
    return Announcement(fact, step.order.trace, step.order.placed_at if ends else None, step.again)


def domain(settings: Settings) -> Domain[Orders]:
    """The order service, as delivery sees it."""
    return Domain(
        service="order_service",
        facts=facts_for("order_service"),
        tables=delivery,
        handlers=OrderHandlers(settings.deadline_s, settings.ask_again_s),
        answers=views.ANSWERS,
        gauges=views.gauges,
    )
