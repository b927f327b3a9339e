"""The pure tier: the three services in memory, and one run of them."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from holdfast.delivery.words import Service
from order_service.handlers import Limits as OrderLimits
from tests.simulation import rows
from tests.simulation.checks import judge
from tests.simulation.history import History
from tests.simulation.kept import CODE_KEY, MemoryAccounts, MemoryOrders, MemoryPromos
from tests.simulation.memory import MemoryNode
from tests.simulation.plan import Plan
from tests.simulation.rows import Left
from tests.simulation.watch import Violation, Watch
from tests.simulation.world import World
from user_service.handlers import Limits

Result = TypeVar("Result")


@dataclass
class Run:
    """What came of one run. `left`: what the services keep at its end; None where it broke off."""

    history: History
    violations: list[Violation]
    trace: list[str]
    left: Left | None = None


def run(plan: Plan, traced: bool = False) -> Run:
    """One run in memory, judged."""
    users = MemoryAccounts(Limits(plan.pending_max, plan.joins_s))
    orders = MemoryOrders(OrderLimits(plan.lasts_s, waiting=plan.pending_max))
    promos = MemoryPromos(CODE_KEY, plan.lasts_s, plan.pending_max)
    handlers: dict[Service, Any] = {"user_service": users, "order_service": orders, "promo_service": promos}
    nodes = {name: MemoryNode(name, each) for name, each in handlers.items()}
    sagas: dict[Service, Any] = {"order_service": orders.orders, "promo_service": promos.redemptions}
    watch = Watch({name: each.keeper for name, each in handlers.items()}, plan, sagas)
    trace: list[str] = []
    world = World(plan, nodes, watch.committed, trace if traced else None)
    watch.history = world.history
    try:
        history = complete(world.run())
    except Exception as error:
        return Run(world.history, [*watch.found, Violation("no exception", repr(error))], trace)
    left = Left(
        {name: rows.entities(each.keeper) for name, each in handlers.items()},
        rows.orders(orders.orders.values()),
        rows.redemptions(promos.redemptions.values()),
        [each for node in nodes.values() for each in node.parked],
        [repr(fact) for node in nodes.values() for fact in node.twice],
        world.times(),
        [event for node in nodes.values() for event in node.said],
        watch.accepted(),
        watch.waited(),
    )
    return Run(history, [*watch.found, *judge(plan, history, left)], trace, left)


def complete(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    raise AssertionError("the run waited for something outside of it")
