"""The pure tier: the three services in memory, and one run of them."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from client.audit_rows import Books
from contracts.base import Service
from order_service.handlers import OrderHandlers
from promo_service.handlers import PromoHandlers
from tests.simulation.checks import Left, Violation, Watch, judge
from tests.simulation.history import History
from tests.simulation.memory import MemoryNode
from tests.simulation.plan import Plan
from tests.simulation.tables import CODE_KEY, OrderTables, PromoTables, UserTables
from tests.simulation.world import World
from user_service.account import Limits
from user_service.handlers import AccountHandlers

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
    users, orders, promos = UserTables(), OrderTables(), PromoTables()
    limits = Limits(plan.pending_max, plan.named_s)
    user_node = MemoryNode("user_service", AccountHandlers(limits), users)
    order_node = MemoryNode("order_service", OrderHandlers(plan.lasts_s), orders)
    promo_node = MemoryNode("promo_service", PromoHandlers(CODE_KEY, plan.lasts_s), promos)
    watch = Watch(users, plan)
    trace: list[str] = []
    nodes: dict[Service, MemoryNode] = {
        "user_service": user_node,
        "order_service": order_node,
        "promo_service": promo_node,
    }
    world = World(plan, nodes, watch.committed, trace if traced else None)
    watch.history = world.history
    try:
        history = complete(world.run())
    except Violation as found:
        return Run(world.history, [found], trace)
    except Exception as error:
        return Run(world.history, [Violation("no exception", repr(error))], trace)
    process = world._processes["user_service"]
    books = Books(users.rows(world.now(process)), orders.rows(), promos.rows())
    left = Left(
        books,
        {each.name: each.stock for each in orders.items.values()},
        [f"{fact!r}: {reason}" for node in nodes.values() for fact, reason in node.parked],
        [repr(fact) for node in nodes.values() for fact in node.twice],
        [event for node in nodes.values() for event in node.said],
    )
    return Run(history, judge(plan, history, left), trace, left)


def complete(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    raise AssertionError("the run waited for something outside of it")
