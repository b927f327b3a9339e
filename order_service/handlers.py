"""What the order service does with each message: `order.py` decides for the order, the stock answers, both are kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.commands import PlaceOrder, PutItem
from contracts.events import OrderCancelled, OrderCompleted, OrderFailed
from contracts.topology import SHOP
from holdfast import __version__
from holdfast.delivery.domain import Domain, Refused
from holdfast.delivery.message import Announcement, Message
from holdfast.delivery.words import Fact
from order_service import stock, store, views
from order_service.order import (
    AnswerOverdue,
    Contradiction,
    Item,
    Order,
    OrderDeadlinePassed,
    Situation,
    Step,
    Take,
    Wish,
    decide,
)
from order_service.settings import Settings
from order_service.store import Orders, Touched
from order_service.tables import delivery

DUE_TOGETHER_MAX = 500


@dataclass(frozen=True, slots=True)
class Limits:
    """`deadline_s`: for orders that name none. `ask_again_s`: how long the user service's answer is waited for before
    it is asked again. `waiting`: orders that may wait for one item.
    """

    deadline_s: float = 900.0
    ask_again_s: float = 30.0
    waiting: int = 200


class OrderHandlers:
    """Handles messages about orders and the catalog, within these limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._keeper = store.keeper()

    async def load(self, connection: AsyncConnection, messages: Sequence[Message], now: datetime) -> Orders:
        """Lock and read the orders and items that these messages are about, and the orders that wait for these."""
        return await store.load(connection, self._keeper, touched(messages))

    def handle(self, state: Orders, message: Message, now: datetime) -> Sequence[Announcement]:
        """Decide one message, and all that follows from it for other orders."""
        with state.stock.deciding():
            return _Decision(state, message, now, self._limits).announced

    async def save(self, connection: AsyncConnection, state: Orders) -> None:
        """Keep what changed."""
        await store.save(connection, self._keeper, state)

    async def due(self, connection: AsyncConnection) -> Sequence[Fact]:
        """Orders whose deadline has passed, and those whose answer is overdue.

        An order that waits for pieces waits until its own deadline, so the stock has no deadlines but these.
        """
        late = await store.due(connection, DUE_TOGETHER_MAX)
        unanswered = await store.unanswered(connection, DUE_TOGETHER_MAX)
        return [
            *(OrderDeadlinePassed(order_id=each) for each in late),
            *(AnswerOverdue(order_id=each) for each in unanswered),
        ]


class _Decision:
    """What one message makes of the orders.

    The message is decided first, and may be refused: till then nothing has changed. Then deadlines have their effect on
    the item's stock, and then the stock does what the order wishes. Each time the stock answers, other orders go on,
    until nothing more is answered. Each order is answered once, so this ends, and in the order of the log, so that it
    ends in one way.
    """

    def __init__(self, state: Orders, message: Message, now: datetime, limits: Limits) -> None:
        self._state, self._message, self._now, self._limits = state, message, now, limits
        self.announced: list[Announcement] = []
        if isinstance(message.fact, PutItem):
            self._put(message.fact)
        else:
            self._tell(_order_id(message.fact), message.fact)

    def _put(self, put: PutItem) -> None:
        """Set the item, once for each message: again it would undo later puts."""
        state, message, now = self._state, self._message, self._now
        if state.stock.at[put.item].find(message.key):
            return
        self._follow(stock.pass_time(state.stock, put.item, now))
        pieces = put.pieces
        state.items[put.item] = Item(put.item, put.price, put.fulfilment, pieces is not None, put.scarce)
        self._follow(stock.put(state.stock, put.item, message.key, pieces, now, message.trace))

    def _tell(self, order_id: UUID, fact: Fact) -> None:
        order = self._state.orders.get(order_id) or Order(order_id, trace=self._message.trace)
        try:
            step = self._decide(order, fact)
        except Contradiction as error:
            raise Refused(str(error)) from None
        self._keep(order, step)
        if step.wish and step.order.item:
            self._follow(stock.pass_time(self._state.stock, step.order.item, self._now))
            self._follow(self._carry_out(step.order, step.wish))

    def _follow(self, answers: Sequence[stock.Answer]) -> None:
        """Tell orders what the stock has answered, and so on with what follows."""
        told = deque(answers)
        while told:
            order_id, fact = told.popleft()
            order = self._state.orders[order_id]
            step = self._decide(order, fact)
            self._keep(order, step)
            if step.wish:
                told += self._carry_out(step.order, step.wish)

    def _decide(self, order: Order, fact: Fact) -> Step:
        name = fact.item if isinstance(fact, PlaceOrder) else order.item
        item = self._state.items.get(name) if name else None
        return decide(Situation(order, item, self._now, self._limits.deadline_s, self._limits.ask_again_s), fact)

    def _keep(self, before: Order, step: Step) -> None:
        if step.order is not before:
            self._state.orders[before.id] = step.order
        self.announced += [_announcement(step, fact) for fact in step.facts]

    def _carry_out(self, order: Order, wish: Wish) -> list[stock.Answer]:
        assert order.item is not None
        item, cause = self._state.items[order.item], self._message.fact.type
        told = stock.carry_out(self._state.stock, order, item, wish, self._now, cause, self._limits.waiting)
        if isinstance(wish, Take) and (waiting := stock.waiting(self._state.stock, order)):
            self.announced.append(Announcement(waiting, order.trace))
        return told


def touched(messages: Sequence[Message]) -> Touched:
    """What must be loaded for these messages."""
    facts = [message.fact for message in messages]
    return Touched(
        placed={(fact.order_id, fact.item) for fact in facts if isinstance(fact, PlaceOrder)},
        others={_order_id(fact) for fact in facts if not isinstance(fact, PlaceOrder | PutItem)},
        puts={(message.fact.item, message.key) for message in messages if isinstance(message.fact, PutItem)},
    )


def _order_id(fact: Fact) -> UUID:
    """The order that the fact is about, which is not about the catalog."""
    order_id: UUID = getattr(fact, fact.saga_field)
    return order_id


def _announcement(step: Step, fact: Fact) -> Announcement:
    ends = isinstance(fact, OrderCompleted | OrderFailed | OrderCancelled)
    return Announcement(fact, step.order.trace, step.order.placed_at if ends else None, step.again)


def domain(settings: Settings) -> Domain[Orders]:
    """The order service, as delivery sees it."""
    return Domain(
        service="order_service",
        topology=SHOP,
        version=__version__,
        tables=delivery,
        handlers=OrderHandlers(Limits(settings.deadline_s, settings.ask_again_s, settings.waiting_max)),
        answers=views.answers(),
        gauges=views.gauges,
    )
