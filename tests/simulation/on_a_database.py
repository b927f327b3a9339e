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
from contracts.topology import SHOP
from holdfast.delivery.domain import Domain
from holdfast.delivery.words import Service
from tests.simulation import guest, pure
from tests.simulation.checks import judge
from tests.simulation.database import DatabaseNode
from tests.simulation.kept import CODE_KEY
from tests.simulation.plan import Plan
from tests.simulation.pure import Run
from tests.simulation.rows import Left
from tests.simulation.slot import Slot
from tests.simulation.watch import Violation
from tests.simulation.world import World

ACCOUNTS_MAX, SAGAS_MAX = 2, 3
WHOLE_EVERY = 50
HORIZON_S = 2000.0


def small(plan: Plan) -> Plan:
    """The same run with fewer accounts and sagas, and an earlier end: what matters is many runs.

    Odd seeds have sagas of one account, even ones of several in turn; some seeds are as large as in memory.
    """
    if plan.seed % WHOLE_EVERY == 0:
        return replace(plan, horizon_s=HORIZON_S)
    accounts = plan.accounts[: 1 if plan.seed % 2 else ACCOUNTS_MAX]
    queues = [[saga for saga in plan.sagas if saga.account == account] for account in accounts]
    in_turn = [saga for some in zip_longest(*queues) for saga in some if saga]
    sagas = tuple(sorted(in_turn[: SAGAS_MAX + len(accounts) - 1], key=lambda saga: saga.number))
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
    except Exception as error:
        return Run(world.history, [Violation("no exception", repr(error))], trace)
    finally:
        for node in nodes.values():
            await node.stop()
    left = Left(
        await slot.entities(),
        await slot.orders(),
        await slot.redemptions(),
        [each for node in nodes.values() for each in node.parked],
        [repr(fact) for node in nodes.values() for fact in node.twice],
        world.times(),
    )
    return Run(history, judge(plan, history, left), trace, left)


async def compared(plan: Plan, slot: Slot, traced: bool = False) -> Run:
    """The same, and one in memory, which must come to the same: step by step, in what is told, and in what is kept."""
    done, modelled = await run(plan, slot, traced=True), pure.run(plan, traced=True)
    done.violations.extend(modelled.violations)
    both: tuple[tuple[str, list[Any], list[Any]], ...] = (
        ("line", done.trace, modelled.trace),
        ("announcement", _told(done), _told(modelled)),
        ("row", _kept(done), _kept(modelled)),
    )
    for what, own, other in both:
        if own != other:
            at = next(i for i, (one, two) in enumerate(zip_longest(own, other)) if one != two)
            ours, theirs = (repr(each[at]) if at < len(each) else "nothing more" for each in (own, other))
            difference = f"{what} {at + 1}: {ours}, in memory {theirs}"
            done.violations.append(Violation("memory is as the database", difference))
    return done if traced else replace(done, trace=[])


def _told(done: Run) -> list[Any]:
    return [each for told in done.history.told.values() for each in told.values()]


def _kept(done: Run) -> list[Any]:
    return done.left.rows() if done.left else []


def _domains(plan: Plan) -> list[Domain[Any]]:
    """The services, with the settings of this run. The user service takes the guest's events as well."""
    users = user_service.settings.Settings.model_construct(pending_max=plan.pending_max, join_s=plan.joins_s)
    orders = order_service.settings.Settings.model_construct(deadline_s=plan.lasts_s, waiting_max=plan.pending_max)
    code_key = SecretStr(CODE_KEY.decode())
    promos = promo_service.settings.Settings.model_construct(
        code_key=code_key, wait_s=plan.lasts_s, waiting_max=plan.pending_max
    )
    accounts = user_service.handlers.domain(users)
    return [
        replace(accounts, topology=replace(SHOP, facts={**SHOP.facts, **guest.FACTS})),
        order_service.handlers.domain(orders),
        promo_service.handlers.domain(promos),
    ]
