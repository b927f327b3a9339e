"""/health, /metrics and /asyncapi of each service."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from urllib.error import HTTPError
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from contracts.commands import CreditAccount, PlaceOrder
from contracts.events import CoinsCaptured, CoinsRefused, CoinsReserved, OperationWaiting, OrderCompleted
from contracts.topology import SHOP
from holdfast.delivery.queries import ShowOutcome, ShowStatus
from provision.direct import open_directly
from tests.service.facts import account_with, doubled, item_with, placed, reserved
from tests.service.probe import Probe
from tests.service.sites import Instance, until


async def test_each_service_is_healthy_and_shows_its_interface(
    users: Instance, orders: Instance, promos: Instance
) -> None:
    for instance in (users, orders, promos):
        assert instance.url.startswith("http://127.0.0.1:")
        await until(partial(_healthy, instance), "it is healthy")
        document = json.loads((await _page(instance, "/asyncapi.json"))[1])
        assert document["asyncapi"] == "3.0.0"
        own = SHOP.exchanges[instance.domain.service]
        addresses = {channel["address"] for channel in document["channels"].values()}
        assert {fact.bound_by(own) for fact in instance.domain.facts.values()} <= addresses
        status, page = await _page(instance, "/asyncapi")
        assert status == 200
        assert all(name in page for name in instance.domain.facts)
        assert (await _page(instance, "/nothing"))[0] == 404


async def test_what_keeps_a_service_from_working_is_named(users: Instance) -> None:
    await until(lambda: _healthy(users), "it is healthy")
    for subscriber in users.broker.subscribers:
        await subscriber.stop()
    status, body = await _page(users, "/health")
    assert status == 503
    assert any("consumer" in problem for problem in json.loads(body)["problems"])


async def test_the_figures_are_right(probe: Probe, users: Instance) -> None:
    account, order_id, redemption_id, much = await account_with(probe, 50), uuid4(), uuid4(), uuid4()
    await probe.send(placed(account, order_id))
    await probe.send(doubled(account, redemption_id))
    await probe.hear(OperationWaiting, redemption_id)
    await probe.send(placed(account, much, amount=10**6))
    await probe.publish("client", "commands", "account.credit", b"nonsense")
    await probe.hear(CoinsReserved, order_id)
    await probe.park("user_service.dead", "not JSON")
    await probe.hear(CoinsRefused, much)
    figures = await _figures(users)
    assert figures["operations_waiting"] == 1
    assert figures["operations_waiting_oldest_seconds"] > 0
    assert figures["reservations_in_flight"] == 1
    assert figures["events_handled_total order.placed"] == 2
    assert figures["events_refused_total coins.refused"] == 1
    assert figures["events_parked_total"] == 1
    assert figures["batch_events_count"] >= 3
    assert {"outbox_rows", "outbox_oldest_seconds"} <= figures.keys()


async def test_how_long_sagas_take_is_measured(probe: Probe, orders: Instance) -> None:
    item, order_id = await item_with(probe, 3), uuid4()
    await probe.send(PlaceOrder(order_id=order_id, account_id="buyer", item=item))
    await probe.send(reserved("buyer", order_id))
    await probe.send(CoinsCaptured(account_id="buyer", operation_id=order_id, asked_by="order", amount=5))
    await probe.hear(OrderCompleted, order_id)
    figures = await _figures(orders)
    assert figures["saga_duration_seconds_count order.completed"] == 1
    assert 0 <= figures["saga_duration_seconds_sum order.completed"] < 60


@pytest.mark.usefixtures("users")
async def test_a_service_tells_of_itself_and_of_a_message_when_it_is_asked(probe: Probe, users: Instance) -> None:
    account = await account_with(probe, 1)
    (handled,) = await probe.send(CreditAccount(credit_id=uuid4(), account_id=account, amount=1))
    (event,) = await probe.send(placed(account, uuid4(), amount=1))
    await probe.fence("user_service")
    status = ShowStatus()
    status_key, outcome_key = f"user_service.{status.type}", f"user_service.{ShowOutcome.type}"
    answer = (await probe.ask_raw(status_key, b""))["answer"]
    assert (answer["service"], answer["url"]) == ("user_service", users.url)
    for message_id, outcome in ((handled, "handled"), (event, "unknown"), (uuid4(), "unknown")):
        asked = json.dumps({"message_id": str(message_id)}).encode()
        assert (await probe.ask_raw(outcome_key, asked))["answer"]["outcome"] == outcome


async def _healthy(instance: Instance) -> bool:
    return (await _page(instance, "/health"))[0] == 200


async def _page(instance: Instance, path: str) -> tuple[int, str]:
    def read() -> tuple[int, str]:
        try:
            with open_directly(instance.url + path, within_s=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(read)


async def _figures(instance: Instance) -> dict[str, float]:
    """Each sample by its name, and the label that tells one from another where it has one."""
    _, page = await _page(instance, "/metrics")
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    told = [sample.labels.get("type") or sample.labels.get("end") or "" for sample in samples]
    return {f"{sample.name} {label}".strip(): sample.value for sample, label in zip(samples, told, strict=True)}
