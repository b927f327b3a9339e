"""Effects that the services announced, heard as a client hears them, and those that their databases know nothing of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from uuid import UUID

from client.audit_rows import Books
from client.client import Client
from client.errors import Unreachable
from client.tap import tap
from contracts.events import (
    CoinsCaptured,
    CoinsCredited,
    CoinsExpired,
    CoinsMultiplied,
    CoinsRefused,
    CoinsReleased,
    OrderCancelled,
    OrderCompleted,
    OrderFailed,
    PromoRedeemed,
    PromoRefused,
)
from holdfast.delivery.words import Fact

AGAIN_S = 0.1

Effect = tuple[str, UUID, str, int]
"""Who keeps it (operation, order or redemption), its id, its state, and the coins that it adds or takes."""


@asynccontextmanager
async def announced(operator: Client) -> AsyncIterator[set[Effect]]:
    """The effects that are announced meanwhile, as far as they are heard: a connection that is lost is made again."""
    heard: set[Effect] = set()
    begun = asyncio.Event()

    async def listen() -> None:
        while True:
            try:
                async with tap(operator.connection) as seen:
                    begun.set()
                    while (each := await seen.get()) is not None:
                        heard.update(_effects(each.fact))
            except Unreachable:
                await asyncio.sleep(AGAIN_S)

    listening = asyncio.create_task(listen())
    await begun.wait()
    try:
        yield heard
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def lost(effects: Iterable[Effect], books: Books) -> list[Effect]:
    """The effects that are not in the books."""
    kept: set[Effect] = {
        ("operation", each.operation_id, each.state, abs(each.delta)) for each in books.accounts.operations
    }
    kept |= {("order", each.order_id, each.state, 0) for each in books.orders}
    kept |= {("redemption", each.redemption_id, each.state, each.added or 0) for each in books.redemptions}
    return [each for each in effects if each not in kept]


def _effects(fact: Fact) -> Iterator[Effect]:
    """What cannot change any more once it is announced."""
    match fact:
        case CoinsCredited():
            yield "operation", fact.operation_id, "credited", fact.amount
        case CoinsMultiplied():
            yield "operation", fact.operation_id, "multiplied", fact.added
        case CoinsCaptured():
            yield "operation", fact.operation_id, "captured", fact.amount
        case CoinsReleased():
            yield "operation", fact.operation_id, "released", 0
        case CoinsExpired():
            yield "operation", fact.operation_id, "expired", 0
        case CoinsRefused():
            yield "operation", fact.operation_id, "refused", 0
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
            return
