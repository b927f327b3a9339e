"""What becomes of an order or a redemption in its first moments: answered, or what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from client.errors import QueryRefused, Unreachable
from client.pending import told
from client.questions import Questions
from client.waiting import intervals
from contracts.queries import OrderView, RedemptionView

TOLD_S_MAX = 2.0
"""How long the services are asked what a new command waits for; it goes on by itself, whether they have said or not."""

USE_OF_THE_CODE = "claim waits for redemptions before it that may give back their use of the code"
"""What a redemption waits for, as far as its redeemer may know: to ask about codes is for operators."""

View = TypeVar("View", OrderView, RedemptionView)


async def order_progress(ask: Questions, order_id: UUID, timeout_s: float) -> tuple[OrderView | None, str | None]:
    """The order, and what it waits for if it waits: for its coins, then for its goods."""

    async def waits_for(order: OrderView) -> str | None:
        if order.state == "placed":
            return await _waits_at_account(ask, order.account_id, order_id)
        if order.state == "reserved" and order.item:
            item = await ask.item(order.item, TOLD_S_MAX)
            return told(order_id, item.pending, item.now) if item else None
        return None

    def is_under_way(order: OrderView) -> bool:
        return order.state == "placed" or (order.state == "reserved" and order.fulfilment == "instant")

    return await _progress(lambda: ask.order(order_id), is_under_way, waits_for, timeout_s)


async def redemption_progress(
    ask: Questions, redemption_id: UUID, timeout_s: float
) -> tuple[RedemptionView | None, str | None]:
    """The redemption, and what it waits for if it waits: for a use of the code, then for its size."""

    async def waits_for(redemption: RedemptionView) -> str | None:
        match redemption.state:
            case "waiting":
                return USE_OF_THE_CODE
            case "claimed":
                return await _waits_at_account(ask, redemption.account_id, redemption_id)
            case _:
                return None

    def is_under_way(redemption: RedemptionView) -> bool:
        return redemption.state == "claimed"

    return await _progress(lambda: ask.redemption(redemption_id), is_under_way, waits_for, timeout_s)


async def _waits_at_account(ask: Questions, account_id: str, operation_id: UUID) -> str | None:
    account = await ask.account(account_id, TOLD_S_MAX)
    return told(operation_id, account.pending, account.now) if account else None


async def _progress(
    look: Callable[[], Awaitable[View | None]],
    is_under_way: Callable[[View], bool],
    waits_for: Callable[[View], Awaitable[str | None]],
    timeout_s: float,
) -> tuple[View | None, str | None]:
    """Look until it waits or is no longer under way, or until `timeout_s` seconds, at most `TOLD_S_MAX`, are over."""
    deadline = asyncio.get_running_loop().time() + min(timeout_s, TOLD_S_MAX)
    view: View | None = None
    for interval_s in intervals():
        try:
            view = await look() or view
            if view is None:
                return None, None
            if (words := await waits_for(view)) or not is_under_way(view):
                return view, words
        except (Unreachable, QueryRefused):
            if view is None:
                raise
        left_s = deadline - asyncio.get_running_loop().time()
        if left_s <= 0:
            break
        await asyncio.sleep(min(interval_s, left_s))
    return view, None
