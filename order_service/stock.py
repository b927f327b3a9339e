"""What is done to an item's stock, for an order and for an operator, and how the stock answers. No input or output."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias, assert_never, cast
from uuid import UUID

from contracts.commands import PutItem
from contracts.events import OrderPlaced, OrderWaiting
from holdfast.delivery.words import Fact
from holdfast.entities.entities import Entities, may_wait
from holdfast.entities.tables import Note, state_of
from holdfast.entities.views import wait_of
from holdfast.pending import Entity, Operation, Outcome
from order_service import kinds
from order_service.order import GiveBack, GoodsRefused, GoodsTaken, Item, Order, Sell, Take, Wish

Answer: TypeAlias = tuple[UUID, Fact]
"""What the stock tells an order, by its id."""

BY_ORDER, BY_COMMAND = OrderPlaced.exchange, PutItem.exchange


def free(stock: Entity[int]) -> int:
    """The pieces that no order has: those that are set aside may come back, those who wait have none."""
    return stock.state + sum(each.adds()[0] for each in stock)


def pass_time(stock: Entities, name: str, now: datetime) -> list[Answer]:
    """Let every deadline up to `now` have its effect on what waits for pieces of the item."""
    return _answers(stock.pass_time(name, now))


def put(stock: Entities, name: str, put_id: UUID, pieces: int | None, now: datetime, trace: str | None) -> list[Answer]:
    """Let the pieces that no order has be `pieces` as of now; those that orders give back later come on top.

    None: they are not counted any more, and stay as they are for orders that count on them.

    Once for each put: again it would bring back what was sold since. Deadlines must have passed.
    """
    stock.open(name)
    done, entity = [], stock.at[name]
    size = 0 if pieces is None else pieces - free(entity)
    while size < 0 and (bounds := entity.bounds) and bounds[0] + size < 0:
        # Pieces are taken away on which one who waits may count. Whoever came last loses them, and nobody waits behind
        # that one, so that `size` stays right. Once nobody waits, the least is what is free.
        last = [each.id for each in entity if each.status == "waiting"][-1]
        done.append(stock.withdraw(name, cast(UUID, last), now, kinds.OUT_OF_STOCK.reason, PutItem.type))
    restock = Operation(put_id, kinds.Restock(size), note=Note(BY_COMMAND, PutItem.type, trace))
    return _answers(*done, stock.arrive(name, restock, now))


def carry_out(
    stock: Entities, order: Order, item: Item, wish: Wish, now: datetime, cause: str, waiting_max: int
) -> list[Answer]:
    """Do what the order wishes. `cause`: the type of the message that led to it. Deadlines must have passed."""
    match wish:
        case Take():
            return _take(stock, order, item, wish, now, cause, waiting_max)
        case Sell():
            return _answers(stock.settle(item.name, order.id, now, cause))
        case GiveBack():
            end = stock.withdraw if _waits(stock.at[item.name], order) else stock.release
            return _answers(end(item.name, order.id, now, wish.reason, cause))
        case _:
            assert_never(wish)


def _take(
    stock: Entities, order: Order, item: Item, wish: Take, now: datetime, cause: str, waiting_max: int
) -> list[Answer]:
    name, note = item.name, Note(BY_ORDER, cause, order.trace)
    if stock.at[name].find(order.id):
        # An order takes once, so this is a put: everybody can see its id.
        return [(order.id, GoodsRefused(order_id=order.id, reason="id_used"))]
    asked = Operation(order.id, kinds.Take(wish.quantity), answer_by=wish.until, note=note)
    if stock.at[name].unanswered >= waiting_max and may_wait(stock.at[name], asked.kind):
        return _answers(stock.refuse(name, asked, now, "pending_limit"))
    arrived = stock.arrive(name, asked, now)
    if item.scarce == "refuse" and _waits(stock.at[name], order):
        refused = stock.withdraw(name, order.id, now, kinds.OUT_OF_STOCK.reason, cause)
        return _answers(arrived, refused)
    return _answers(arrived)


def waiting(stock: Entities, order: Order) -> OrderWaiting | None:
    """The event that tells what the order waits for; None if it waits for no pieces."""
    assert order.item is not None
    entity = stock.at[order.item]
    if not _waits(entity, order):
        return None
    of = {"order_id": order.id, "account_id": order.account_id, "item": order.item}
    return OrderWaiting.model_validate({**of, **wait_of(entity, order.id)})


def _waits(entity: Entity[int], order: Order) -> bool:
    known = entity.find(order.id)
    return known is not None and known.status == "waiting"


def _answers(*outcomes: Outcome[int]) -> list[Answer]:
    told: list[Answer] = []
    for operation in (each for outcome in outcomes for each in outcome.changed):
        order_id = cast(UUID, operation.id)
        if operation.note.asked_by != BY_ORDER:
            continue
        if operation.status == "reserved":
            told.append((order_id, GoodsTaken(order_id=order_id)))
        elif state_of(operation) == "refused":
            told.append((order_id, GoodsRefused(order_id=order_id, reason=operation.reason or "refused")))
    return told
