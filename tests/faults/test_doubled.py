"""Each service is started twice, as by a deployment that overlaps, and later the first of both is killed."""

from __future__ import annotations

import asyncio
import re
from functools import partial

from contracts.topology import SERVICES
from local.service import Service
from provision.direct import open_directly
from tests.faults.replicas import both_work
from tests.faults.stage import Stage
from tests.faults.traffic import Traffic
from tests.service.sites import until

SEED = 6
HANDLED = re.compile(r"^events_handled_total\{.*\} ([0-9.]+)$", re.MULTILINE)


async def test_two_of_each_service_are_as_good_as_one(stage: Stage) -> None:
    first = dict(stage.services)
    async with Traffic(stage, SEED) as traffic:
        await traffic.reaches(20)
        stage.services = {name: stage.instance(name, 2) for name in SERVICES}
        try:
            await asyncio.gather(*(stage.start(name) for name in SERVICES))
            for name in SERVICES:
                await both_work(traffic.client, name, (first[name], stage.services[name]))
            await traffic.reaches(40)
            for name in SERVICES:
                alive = [each.process.pid for each in (first[name], stage.services[name])]
                assert None not in alive, f"one of {name} ended by itself"
                assert await _handled(first[name]), f"the first {name} handled nothing"
        finally:
            for service in first.values():
                await asyncio.to_thread(service.kill)
        await traffic.reaches(20)
        for name in SERVICES:
            await until(partial(_handled, stage.services[name]), f"the second {name} goes on where the first ended")
        await traffic.settled("two of each service, and the first of both killed")


async def _handled(service: Service) -> float:
    """How many events this instance has handled, by its own figures."""

    def read() -> str:
        with open_directly(f"{service.url}/metrics", within_s=5) as answer:
            return str(answer.read().decode())

    return sum(map(float, HANDLED.findall(await asyncio.to_thread(read))))
