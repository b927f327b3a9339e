"""The broker ends a consumer whose queue is deleted: the service says so, and consumes again once the queue is back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from contracts.topology import SERVICES
from holdfast.delivery.connection import is_consuming
from holdfast.delivery.names import inbox_queue, queries_queue
from holdfast.delivery.words import Service
from local.site import Site
from tests.service.probe import Probe
from tests.service.sites import entitle_the_administrator, running, until

ENDED = "not consuming from the broker"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("queue_of", [inbox_queue, queries_queue])
async def test_a_queue_that_is_deleted_and_made_anew_is_consumed_again(
    site: Site, probe: Probe, service: Service, queue_of: Callable[[Service], str]
) -> None:
    async with running(site, service) as instance:
        broker = instance.broker if queue_of is inbox_queue else instance.questions
        await until(lambda: is_consuming(broker), "it consumes")
        entitle_the_administrator(site)
        channel = await probe.channel("admin")
        await channel.queue_delete(queue_of(service))

        async def told() -> bool:
            return any(ENDED in problem for problem in await instance.health())

        await until(told, "health tells of it")
        site.provision()
        await until(lambda: is_consuming(broker), "it consumes again")
        await probe.fence(service)
        assert await instance.health() == []
