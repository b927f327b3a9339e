"""One more customer, who comes once the system is whole and must be served: agreement alone is not enough."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from client.errors import StillOpen, Unreachable
from client.waiting import until
from tests.faults.shopper import Ending

if TYPE_CHECKING:
    from tests.faults.traffic import Traffic

COINS = 100


async def unserved(traffic: Traffic, within_s: float) -> list[str]:
    """What keeps the customer from buying one of what never sells out and then doubling the coins that are left."""
    account = f"{traffic.name}-late-{uuid4().hex[:8]}"
    try:
        async with asyncio.timeout(within_s):
            credit_id, order_id, redemption_id = await _send(traffic, account)
            return [
                *await _credited(traffic, account, credit_id, within_s),
                *await _bought(traffic, account, order_id, redemption_id, within_s),
            ]
    except (StillOpen, Unreachable, TimeoutError) as error:
        return [f"{account}, who came last, was not served within {within_s:g} s: {error!r}"]


async def _send(traffic: Traffic, account: str) -> tuple[UUID, UUID, UUID]:
    """All commands at once; each names the one before, so that they take effect in this order."""
    client, ids = traffic.client, (uuid4(), uuid4(), uuid4())
    traffic.open.update(zip(ids, ("credit", "order", "redemption"), strict=True))
    await traffic.until_confirmed(lambda: client.open_account(account))
    await traffic.until_confirmed(lambda: client.credit(account, COINS, credit_id=ids[0]))
    await traffic.until_confirmed(lambda: client.place_order(account, traffic.shop.plenty, 1, order_id=ids[1]))
    await traffic.until_confirmed(lambda: client.redeem_promo(account, traffic.shop.codes[0], redemption_id=ids[2]))
    return ids


async def _credited(traffic: Traffic, account: str, credit_id: UUID, within_s: float) -> list[str]:
    credit = await traffic.client.wait_for_operation(account, credit_id, within_s)
    _end(traffic, credit_id, Ending("credit", account, credit.state, credit.added or 0))
    return [] if credit.state == "credited" else [f"{account}, who came last: the credit is {credit.state}"]


async def _bought(traffic: Traffic, account: str, order_id: UUID, redemption_id: UUID, within_s: float) -> list[str]:
    client = traffic.client
    order = await client.wait_for_order(order_id, within_s)
    spent = (order.amount or 0) if order.state == "completed" else 0
    _end(traffic, order_id, Ending("order", account, order.state, -spent))
    redemption = await client.wait_for_redemption(redemption_id, within_s)
    _end(traffic, redemption_id, Ending("redemption", account, redemption.state, redemption.added or 0))
    view = await until(lambda: client.ask.account(account), lambda seen: not seen.pending, within_s, account)
    seen = (order.state, redemption.state, view.balance)
    due = ("completed", "redeemed", 2 * (COINS - traffic.shop.price))
    return [] if seen == due else [f"{account}, who came last: {seen} instead of {due}"]


def _end(traffic: Traffic, saga: UUID, ending: Ending) -> None:
    del traffic.open[saga]
    traffic.told[saga] = ending
