"""One more customer, who comes once the system is whole and must be served: agreement alone is not enough."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from client.client import Sent
from client.errors import StillOpen, Unreachable
from client.waiting import until
from holdfast.entities.words import OperationKind
from tests.faults.saga import Asked, effect_of

if TYPE_CHECKING:
    from tests.faults.traffic import Traffic

COINS = 100


async def unserved(traffic: Traffic, within_s: float) -> list[str]:
    """What keeps the customer from buying one of what never sells out and then doubling the coins that are left."""
    account = f"{traffic.name}-late-{uuid4().hex[:8]}"
    try:
        async with asyncio.timeout(within_s):
            endings = [await traffic.learn(saga, within_s) for saga in await send(traffic, account)]
            ask = traffic.client.ask
            view = await until(lambda: ask.account(account), lambda seen: not seen.pending, within_s, account)
    except (StillOpen, Unreachable, TimeoutError) as error:
        return [f"{account}, who came last, was not served within {within_s:g} s: {error!r}"]
    seen = (*[each.state for each in endings], view.balance)
    due = ("credited", "completed", "redeemed", 2 * (COINS - traffic.shop.plenty.price))
    return [] if seen == due else [f"{account}, who came last: {seen} instead of {due}"]


async def send(traffic: Traffic, account: str) -> tuple[UUID, UUID, UUID]:
    """Credit, buy and double, all at once; each names those before, so that they take effect in this order."""
    client, shop, ids = traffic.client, traffic.shop, (uuid4(), uuid4(), uuid4())
    sends: tuple[tuple[OperationKind, int, Callable[[], Awaitable[Sent]]], ...] = (
        ("credit", COINS, lambda: client.credit(account, COINS, credit_id=ids[0])),
        ("reserve", shop.plenty.price, lambda: client.place_order(account, shop.plenty.name, 1, order_id=ids[1])),
        (
            *effect_of(shop.codes[0].effect),
            lambda: client.redeem_promo(account, shop.codes[0].name, redemption_id=ids[2]),
        ),
    )
    await traffic.until_confirmed(lambda: client.open_account(account))
    for saga, (kind, size, send) in zip(ids, sends, strict=True):
        await traffic.begin(saga, Asked(account, kind, size, asyncio.get_running_loop().time()), send)
    return ids
