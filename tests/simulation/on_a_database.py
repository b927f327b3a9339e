"""The database tier: the three services on PostgreSQL, and one run of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from typing import Any

from pydantic import SecretStr

import order_service.handlers
import order_service.settings
import promo_service.handlers
import promo_service.settings
import user_service.handlers
import user_service.settings
from contracts.base import Service
from messaging.domain import Domain
from tests.simulation import pure
from tests.simulation.checks import Left, Violation, judge
from tests.simulation.database import DatabaseNode
from tests.simulation.plan import Plan
from tests.simulation.pure import Run
from tests.simulation.slot import Slot
from tests.simulation.tables import CODE_KEY
from tests.simulation.world import World

ACCOUNTS_MAX, SAGAS_MAX = 2, 3
HORIZON_S = 2000.0


def small(plan: Plan) -> Plan:
    """The same run with fewer accounts and sagas, and an earlier end: what matters is many runs."""
    accounts = plan.accounts[:ACCOUNTS_MAX]
    sagas = tuple(saga for saga in plan.sagas if saga.account in accounts)[:SAGAS_MAX]
    late = tuple(each for each in plan.opened_late if each in accounts)
    return replace(plan, accounts=accounts, sagas=sagas, opened_late=late, horizon_s=HORIZON_S)


async def run(plan: Plan, slot: Slot, traced: bool = False) -> Run:
    """One run on these databases, judged as one in memory is."""
    await slot.begin()
    nodes: dict[Service, DatabaseNode] = {
        each.service: DatabaseNode(each, slot.stores[each.service]) for each in _domains(plan)
    }
    trace: list[str] = []
    world = World(plan, nodes, None, trace if traced else None)
    try:
        history = await world.run()
    finally:
        for node in nodes.values():
            await node.stop()
    left = Left(
        await slot.books(world.now(world._processes["user_service"])),
        await slot.stock(),
        [f"{body}: {reason}" for node in nodes.values() for body, reason in node.parked],
        [repr(fact) for node in nodes.values() for fact in node.twice],
    )
    return Run(history, judge(plan, history, left), trace)


async def compared(plan: Plan, slot: Slot, traced: bool = False) -> Run:
    """The same, and one in memory, which must come to the same."""
    done, modelled = await run(plan, slot, traced=True), pure.run(plan, traced=True)
    if done.trace != modelled.trace:
        at = next(i for i, (own, other) in enumerate(zip_longest(done.trace, modelled.trace)) if own != other)
        own, other = (" / ".join(each[at : at + 1]) or "nothing more" for each in (done.trace, modelled.trace))
        done.violations.append(Violation("memory is as the database", f"line {at + 1}: {own!r}, in memory {other!r}"))
    return done if traced else replace(done, trace=[])


def _domains(plan: Plan) -> list[Domain[Any]]:
    """The services, with the settings of this run."""
    users = user_service.settings.Settings.model_construct(pending_max=plan.pending_max, named_s=plan.named_s)
    orders = order_service.settings.Settings.model_construct(deadline_s=plan.lasts_s)
    code_key = SecretStr(CODE_KEY.decode())
    promos = promo_service.settings.Settings.model_construct(code_key=code_key, wait_s=plan.lasts_s)
    return [
        user_service.handlers.domain(users),
        order_service.handlers.domain(orders),
        promo_service.handlers.domain(promos),
    ]
