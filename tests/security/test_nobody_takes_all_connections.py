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
        url = site.database_url("promo_service", role)
        for _ in range(LIMITS[role]):
            stack.push_async_callback((await asyncpg.connect(url)).close)
        with pytest.raises(asyncpg.TooManyConnectionsError, match="for role"):
            await asyncpg.connect(url)
        for other in ("user_service", owner("user_service")):
            await (await asyncpg.connect(site.database_url("user_service", other))).close()


def test_all_roles_together_leave_room_for_the_administrator() -> None:
    assert sum(LIMITS.values()) <= CONNECTIONS_MAX - 50


async def test_a_service_has_enough_for_two_replicas_that_are_replaced(site: Site) -> None:
    async with unstarted(site, "user_service") as instance:
        pools = [instance.engine.pool, instance.reader.pool]
        held = sum(pool.size() for pool in pools if isinstance(pool, AsyncAdaptedQueuePool))
    assert 0 < held * TIMES <= SERVICE_CONNECTIONS_MAX
