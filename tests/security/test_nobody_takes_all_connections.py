"""A role that was taken over fills its own share of the cluster's connections, and no more."""

from __future__ import annotations

from contextlib import AsyncExitStack

import asyncpg
import pytest
from sqlalchemy.pool import AsyncAdaptedQueuePool

from local.postgres import CONNECTIONS_MAX
from local.site import Site
from provision.databases import AUDITOR, OTHERS_CONNECTIONS_MAX, SERVICE_CONNECTIONS_MAX, owner
from tests.security.policy import OWNERS, SERVICES
from tests.service.sites import unstarted

LIMITS = dict.fromkeys(SERVICES, SERVICE_CONNECTIONS_MAX)
LIMITS |= dict.fromkeys((*OWNERS, AUDITOR), OTHERS_CONNECTIONS_MAX)
TIMES = 8
"""Two replicas, each with its successor, and what each had when the network broke."""


@pytest.mark.parametrize("role", ["promo_service", owner("promo_service"), AUDITOR])
async def test_a_role_has_so_many_connections_and_others_get_in_all_the_same(site: Site, role: str) -> None:
    async with AsyncExitStack() as stack:
        taken = await _take(stack, site.database_url("promo_service", role), LIMITS[role] + 1)
        # Services of other sites in this cluster have the same role, and may have some left.
        assert LIMITS[role] / 2 < taken <= LIMITS[role]
        for other in ("user_service", owner("user_service")):
            await (await asyncpg.connect(site.database_url("user_service", other))).close()


def test_all_roles_together_leave_room_for_the_administrator() -> None:
    assert sum(LIMITS.values()) <= CONNECTIONS_MAX - 50


async def test_a_service_has_enough_for_two_replicas_that_are_replaced(site: Site) -> None:
    async with unstarted(site, "user_service") as instance:
        pools = [instance.engine.pool, instance.reader.pool]
        held = sum(pool.size() for pool in pools if isinstance(pool, AsyncAdaptedQueuePool))
    assert 0 < held * TIMES <= SERVICE_CONNECTIONS_MAX


async def _take(stack: AsyncExitStack, url: str, connections_max: int) -> int:
    """How many connections the login gets, if it takes as many as it can."""
    for taken in range(connections_max):
        try:
            connection = await asyncpg.connect(url)
        except asyncpg.TooManyConnectionsError:
            return taken
        stack.push_async_callback(connection.close)
    return connections_max
