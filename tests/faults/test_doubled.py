"""Each service is started twice, as by a deployment that overlaps, and later the first of both is killed."""

from __future__ import annotations

import asyncio

from contracts.topology import SERVICES
from tests.faults.stage import Stage
from tests.faults.traffic import Traffic

SEED = 6


async def test_two_of_each_service_are_as_good_as_one(stage: Stage) -> None:
    first = dict(stage.services)
    async with Traffic(stage, SEED) as traffic:
        await traffic.reaches(20)
        stage.services = {name: stage.instance(name, 2) for name in SERVICES}
        try:
            await asyncio.gather(*(stage.start(name) for name in SERVICES))
            await traffic.reaches(40)
        finally:
            for service in first.values():
                await asyncio.to_thread(service.kill)
        await traffic.reaches(20)
        await traffic.settled("two of each service, and the first of both killed")
