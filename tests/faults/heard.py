"""Endings that were announced, kept by the broker for whoever listens: one that a relay loses is not heard here.

Shoppers learn by asking how their sagas ended, which the databases answer; a client that waits for the event would wait
for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID, uuid4

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from client.audit_rows import Books
from client.connection import OUTAGE, Connection
from client.errors import NotAllowed, Unconfirmed, Unreachable
from contracts.events import (
    CoinsCredited,
    CoinsRefused,
    OrderCancelled,
    OrderCompleted,
    OrderFailed,
    PromoRedeemed,
    PromoRefused,
)
from contracts.topology import FACTS
from holdfast.delivery.envelope import read, split
from holdfast.delivery.words import Fact, Malformed
from tests.faults import gifts
from tests.faults.gifts import Gift
from tests.faults.saga import Ending

ENDINGS = (
    CoinsCredited,
    CoinsRefused,
    OrderCancelled,
    OrderCompleted,
    OrderFailed,
    PromoRedeemed,
    PromoRefused,
    *gifts.ENDINGS,
)
"""What ends a saga, or answers a credit, which is a saga of one step."""
STATES: Mapping[str, tuple[str, ...]] = {
    "credit": ("credited", "refused"),
    "order": ("completed", "failed", "cancelled"),
    "redemption": ("redeemed", "refused"),
    "gift": gifts.STATES,
}
"""In which a saga has ended."""
MARKS = "commands"
"""The exchange by which an operator can put a mark into the queue, behind all that was announced before."""
ATTEMPT_S_MAX = 30.0
FORGET_S_MAX = 10.0

Ended = tuple[str, UUID, str, int]
"""What ended (credit, order, redemption or gift), its id, how, and the coins that its event says were added."""


class Heard:
    """The endings of sagas of accounts whose names begin with `accounts`, from `begin` on.

    Nobody consumes the queue before `catch_up`, so that it has to survive whatever is done to the broker meanwhile.
    `begin` and `catch_up` raise `Unreachable` or `Unconfirmed`, and may then be called again.
    """

    def __init__(self, connection: Connection, accounts: str) -> None:
        self._connection, self._accounts = connection, accounts
        self._queue = f"tap.{connection.user}.{uuid4()}"
        self.endings: set[Ended] = set()

    async def begin(self) -> None:
        """Have the broker keep the endings from now on."""
        channel = await self._connection.open_channel()
        try:
            queue = await channel.declare_queue(self._queue, durable=True, arguments={"x-queue-type": "quorum"})
            for ending in ENDINGS:
                await queue.bind(ending.exchange, f"{ending.type}.#")
            await queue.bind(MARKS, self._queue)
        except OUTAGE as error:
            raise Unreachable(f"the endings cannot be kept yet: {error!r}") from error
        finally:
            await self._connection.drop(channel)

    async def catch_up(self) -> None:
        """Hear all that was announced before this."""
        mark, marked, taken = str(uuid4()), asyncio.Event(), 0

        async def take(message: AbstractIncomingMessage) -> None:
            nonlocal taken
            taken += 1
            self.endings.update(self._read(message))
            await message.ack()  # at once: the broker hands out 2,000 at most before it waits
            if message.message_id == mark:
                marked.set()

        channel = await self._connection.open_channel()
        try:
            queue = await channel.get_queue(self._queue, ensure=False)
            await queue.consume(take)
            message = aio_pika.Message(b"", message_id=mark, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await self._connection.publish(MARKS, self._queue, message, ATTEMPT_S_MAX)
            await asyncio.wait_for(marked.wait(), ATTEMPT_S_MAX)
        except OUTAGE as error:
            print(f"{self._queue}: {taken} heard, no mark among them: {error!r}", flush=True)
            raise Unreachable(f"the endings cannot be heard yet: {error!r}") from error
        finally:
            await self._connection.drop(channel)

    async def forget(self) -> None:
        """Delete the queue, if the broker is there: else it ends with its site."""
        with contextlib.suppress(Unreachable, Unconfirmed, NotAllowed, *OUTAGE):
            async with asyncio.timeout(FORGET_S_MAX):
                channel = await self._connection.open_channel()
                await channel.queue_delete(self._queue)
                await self._connection.drop(channel)

    def _read(self, message: AbstractIncomingMessage) -> Iterator[Ended]:
        """What strangers made of these types is none of ours."""
        with contextlib.suppress(Malformed, KeyError):
            for content in split(message.content_type, message.body):
                envelope = read(content)
                fact = FACTS[envelope.type].read(envelope.data)
                if fact.subject.startswith(self._accounts):
                    yield from _ended(fact)


def unheard(
    heard: set[Ended], told: Mapping[UUID, Ending], books: Books, given: Sequence[Gift], accounts: str
) -> Iterator[str]:
    """Endings that were told or are kept and that no event announced, and announced ones that are not kept."""
    kept = set(_kept(books, given, accounts))
    said = {(each.what, saga, each.state, _added(each.state, each.added)) for saga, each in told.items()}
    for what, saga, state, added in sorted((kept | said) - heard):
        yield f"{what} {saga}: {state}, {added} coins added, and no event ever said so"
    for what, saga, state, added in sorted(heard - kept):
        yield f"{what} {saga}: announced as {state}, {added} coins added, which its service does not keep"


def _kept(books: Books, given: Sequence[Gift], accounts: str) -> Iterator[Ended]:
    """How the services keep what has ended."""
    credits_ = [each for each in books.accounts.operations if each.kind == "credit"]
    ended = [("credit", each.operation_id, each.key, each.state, each.delta) for each in credits_]
    ended += [("order", each.order_id, each.account_id, each.state, 0) for each in books.orders]
    ended += [
        ("redemption", each.redemption_id, each.account_id, each.state, each.added or 0) for each in books.redemptions
    ]
    ended += [("gift", each.gift_id, each.account_id, each.state, 0) for each in given]
    for what, saga, account, state, added in ended:
        if state in STATES[what] and account.startswith(accounts):
            yield what, saga, state, _added(state, added)


def _ended(fact: Fact) -> Iterator[Ended]:
    """The ending that the event announces; answers to reservations and to promo codes do not end their sagas."""
    match fact:
        case CoinsCredited(kind="credit"):
            yield "credit", fact.operation_id, "credited", fact.amount
        case CoinsRefused(kind="credit"):
            yield "credit", fact.operation_id, "refused", 0
        case OrderCompleted():
            yield "order", fact.order_id, "completed", 0
        case OrderFailed():
            yield "order", fact.order_id, "failed", 0
        case OrderCancelled():
            yield "order", fact.order_id, "cancelled", 0
        case PromoRedeemed():
            yield "redemption", fact.redemption_id, "redeemed", fact.added
        case PromoRefused():
            yield "redemption", fact.redemption_id, "refused", 0
        case _:
            yield from gifts.ended(fact)


def _added(state: str, added: int) -> int:
    """Orders do not say in their last event what they cost."""
    return added if state in ("credited", "redeemed") else 0
