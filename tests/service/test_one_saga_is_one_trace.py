"""A trace context goes through inbox and outbox; where nobody exports, it goes through as it came and costs nothing."""

from __future__ import annotations

import subprocess
import sys
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from contracts.commands import CancelOrder, PlaceOrder
from contracts.events import (
    CoinsMultiplied,
    CoinsReserved,
    OperationWaiting,
    OrderCancelled,
    OrderConfirmed,
    OrderFailed,
    OrderPlaced,
)
from holdfast.delivery.tracing import Tracer
from local.site import Site
from local.sources import PROJECT
from tests.service.facts import account_with, doubled, item_with, placed, reserved
from tests.service.probe import Probe
from tests.service.sites import make

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


@pytest.mark.usefixtures("users")
async def test_without_an_exporter_the_context_passes_unchanged(probe: Probe) -> None:
    account, order_id = await account_with(probe, 50), uuid4()
    await probe.send(placed(account, order_id), trace=PARENT)
    await probe.hear(CoinsReserved, order_id)
    assert [each.traceparent for each in probe.announced(CoinsReserved, order_id)] == [PARENT]


@pytest.mark.usefixtures("users")
async def test_an_operation_named_before_it_came_has_the_trace_it_came_with(probe: Probe) -> None:
    account, ahead, named, doubling = await account_with(probe, 50), uuid4(), uuid4(), uuid4()
    await probe.send(placed(account, ahead, amount=40), trace=_trace(1))
    await probe.send(doubled(account, doubling, after=(named,)), trace=_trace(2))
    await probe.hear(OperationWaiting, doubling)
    await probe.send(placed(account, named, amount=30), trace=_trace(3))
    await probe.hear(OperationWaiting, named)
    assert not probe.announced(CoinsReserved, named)
    await probe.send(OrderFailed(order_id=ahead, account_id=account, reason="out_of_stock"), trace=_trace(4))
    await probe.hear(CoinsReserved, named)
    await probe.send(OrderConfirmed(order_id=named, account_id=account), trace=_trace(5))
    assert (await probe.hear(CoinsMultiplied, doubling))["added"] == 20
    for kind, saga, own in (
        (OperationWaiting, doubling, _trace(2)),
        (OperationWaiting, named, _trace(3)),
        (CoinsReserved, named, _trace(3)),
        (CoinsMultiplied, doubling, _trace(2)),
    ):
        assert {each.traceparent for each in probe.announced(kind, saga)} == {own}, kind.type


def _trace(number: int) -> str:
    return f"00-{number:032x}-{SPAN_ID}-01"


def test_without_an_exporter_no_sdk_is_loaded() -> None:
    program = (
        "import sys, order_service.__main__, promo_service.__main__, user_service.__main__\n"
        "from holdfast.delivery.tracing import tracer\n"
        "tracer('user_service')\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_one_order_is_one_trace(site: Site, probe: Probe) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instance = make(site, "order_service")
    instance.work._tracer = Tracer(provider, "order_service")
    await instance.start()
    item, order_id = await item_with(probe, 3), uuid4()
    await probe.send(PlaceOrder(order_id=order_id, account_id="buyer", item=item), trace=PARENT)
    await probe.hear(OrderPlaced, order_id)
    onward = probe.announced(OrderPlaced, order_id)[0].traceparent
    await probe.send(reserved("buyer", order_id), trace=onward)
    await probe.hear(OrderConfirmed, order_id)
    await probe.send(CancelOrder(order_id=(other := uuid4()), account_id="buyer"))
    await probe.hear(OrderCancelled, other)
    await instance.stop()
    finished = exporter.get_finished_spans()
    spans = [each for each in finished if (each.attributes or {})["holdfast.saga"] == str(order_id)]
    assert [each.name for each in spans] == ["order_service order.place", "order_service coins.reserved"]
    assert {f"{each.context.trace_id:032x}" for each in spans} == {TRACE_ID}
    assert spans[0].parent
    assert f"{spans[0].parent.span_id:016x}" == SPAN_ID
    for kind in (OrderPlaced, OrderConfirmed):
        assert TRACE_ID in str(probe.announced(kind, order_id)[0].traceparent)
    assert not probe.announced(OrderCancelled, order_id)
