"""A command that comes twice in one transaction is answered once, and the answer says what the first one asked for."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from contracts.commands import PlaceOrder, PutPromo, RedeemPromo
from contracts.events import OrderPlaced, PromoClaimed
from contracts.roles import Multiply
from holdfast.delivery.checkpoints import Checkpoint
from holdfast.delivery.envelope import encode
from local.site import Site
from tests.service.facts import item_with
from tests.service.probe import Probe, envelope
from tests.service.sites import running, until


@pytest.mark.usefixtures("orders")
async def test_an_order_keeps_what_it_was_placed_after(probe: Probe) -> None:
    item, order_id, earlier = await item_with(probe, 3), uuid4(), uuid4()
    place = PlaceOrder(order_id=order_id, account_id="buyer", item=item, after=(earlier,))
    content_type, body = encode([envelope(place), envelope(place)])
    await probe.publish("client", "commands", PlaceOrder.type, body, content_type)
    await probe.hear(OrderPlaced, order_id)
    await probe.fence("order_service")
    assert [each.data["after"] for each in probe.announced(OrderPlaced, order_id)] == [[str(earlier)]]


async def test_a_redemption_has_the_effect_its_code_had_at_first(site: Site, probe: Probe) -> None:
    taken, go, batches = asyncio.Event(), asyncio.Event(), 0

    async def holds(checkpoint: Checkpoint) -> None:
        nonlocal batches
        if checkpoint == "batch taken":
            batches += 1
            taken.set()
            await go.wait()

    code, redemption_id = f"code-{uuid4()}", uuid4()
    redeem = RedeemPromo(redemption_id=redemption_id, account_id="fan", code=code)
    async with running(site, "promo_service", holds) as promos:
        await probe.send(PutPromo(code=code, effect=Multiply(factor=2)))
        await taken.wait()
        for each in (redeem, PutPromo(code=code, effect=Multiply(factor=3)), redeem):
            await probe.send(each)
        await until(lambda: promos.consumer._deliveries.qsize() == 3, "all three have arrived")
        go.set()
        await probe.hear(PromoClaimed, redemption_id)
        assert batches == 2
        await probe.fence("promo_service")
    effects = [each.data["effect"] for each in probe.announced(PromoClaimed, redemption_id)]
    assert [each["factor"] for each in effects] == [2]
