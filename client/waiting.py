"""Waiting for something to end: asking again at growing intervals, for a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from client.errors import StillOpen, Unreachable
from contracts.queries import OperationView, OrderView, RedemptionView
from holdfast.delivery.words import Contract

View = TypeVar("View", bound=Contract)

INTERVAL_S_MIN, INTERVAL_S_MAX = 0.01, 0.5


def order_ended(order: OrderView) -> bool:
    """Whether the order is completed, failed or cancelled."""
    return order.state in ("completed", "failed", "cancelled")


def redemption_ended(redemption: RedemptionView) -> bool:
    """Whether the code took effect or was refused."""
    return redemption.state in ("redeemed", "refused")


def operation_answered(operation: OperationView) -> bool:
    """Whether the operation has its answer; a reservation has it before it is settled."""
    return operation.state not in ("outside", "waiting", "accepted")


async def until(
    look: Callable[[], Awaitable[View | None]], done: Callable[[View], bool], timeout_s: float, what: str
) -> View:
    """Look until it is done. Raises `StillOpen` after `timeout_s` seconds, `Unreachable` if nobody ever answered."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    seen: View | None = None
    silence: Unreachable | None = None
    for interval_s in intervals():
        try:
            seen = await look()
            silence = None
        except Unreachable as error:
            silence = error
        if seen is not None and done(seen):
            return seen
        left_s = deadline - loop.time()
        if left_s <= 0:
            break
        await asyncio.sleep(min(interval_s, left_s))
    if silence:
        raise silence
    state = getattr(seen, "state", None) or getattr(seen, "outcome", "unknown")
    raise StillOpen(f"{what} is still {state} after {timeout_s:g} s", seen)


def intervals() -> Iterator[float]:
    """Seconds to pause before the next look, without end."""
    interval_s = INTERVAL_S_MIN
    while True:
        yield interval_s
        interval_s = min(interval_s * 1.5, INTERVAL_S_MAX)
