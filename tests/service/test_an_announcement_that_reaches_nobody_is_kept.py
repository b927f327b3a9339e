"""A binding is missing: the announcement stays in the outbox, and goes out when the binding is back."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

import holdfast.delivery.relay
from contracts.commands import PlaceOrder, PutItem
from local.parts import Parts
from local.site import Site
from tests.service.probe import Probe
from tests.service.sites import running, until, value

BINDING = ("e", "order", "q", "user_service")
KEPT = "SELECT count(*) FROM outbox WHERE routing_key = 'order.placed'"


async def test_it_is_published_when_the_binding_is_back(
    parts: Parts, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    management = parts.broker.management
    monkeypatch.setattr(holdfast.delivery.relay, "SWEEP_S", 0.3)
    management.call("DELETE", "bindings", site.vhost, *BINDING, "order.placed")
    # This probe listens to nothing: its own queue would be somebody that the announcement reaches.
    probe = Probe(site)
    with capture_logs() as logs:
        async with running(site, "order_service") as instance:
            await probe.send(PutItem(item="sword", price=5, stock=3))
            await probe.send(PlaceOrder(order_id=uuid4(), account_id="buyer", item="sword"))

            async def told() -> bool:
                return any("no queue bound" in problem for problem in await instance.problems())

            async def healthy() -> bool:
                return not await instance.problems()

            await until(told, "the health page tells of it")
            assert await value(site, "order_service", KEPT) == 1
            errors = [line for line in logs if line["log_level"] == "error"]
            assert {(line["event"], line["routing_key"]) for line in errors} == {("unroutable", "order.placed")}

            management.call("POST", "bindings", site.vhost, *BINDING, body={"routing_key": "order.placed"})
            await until(lambda: value(site, "order_service", f"SELECT ({KEPT}) = 0"), "the outbox is empty")
            await until(healthy, "nothing is wrong any more")
    assert await _delivered(probe) == "order.placed"
    await probe.close()


async def _delivered(probe: Probe) -> str | None:
    """The routing key of what is in the user service's queue."""
    queue = await (await probe.channel("user_service")).get_queue("user_service", ensure=False)
    async with asyncio.timeout(30), queue.iterator(no_ack=True) as messages:
        async for message in messages:
            return message.routing_key
    return None
