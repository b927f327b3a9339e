"""`python -m benchmarks.speed`: sagas a second, processor time a saga, and how long one saga takes.

A saga is an order from `order.place` to `order.completed`. Everything runs on this machine: the client, the services,
RabbitMQ, PostgreSQL (with fsync). Times depend on the machine.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID, uuid4

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.cpu import cpu_seconds
from client.client import Client
from client.tap import Seen, tap
from contracts.commands import CreditAccount, OpenAccount, PlaceOrder
from contracts.events import OrderCompleted, OrderFailed
from contracts.services import SERVICES
from local.account import temporary_folder
from local.parts import Parts
from local.processes import Process
from local.sources import PROJECT
from local.stack import Stack
from provision import secrets

SAGA_S_MAX = 60.0


@dataclass(frozen=True)
class Figures:
    """What one run measured. Times in seconds; CPU in seconds of all processes but the client, and of the client."""

    sagas: int
    seconds: float
    cpu: float
    client_cpu: float
    latencies: list[float]


@contextmanager
def system() -> Iterator[tuple[Stack, list[int]]]:
    """A whole system of its own, durable as in production, and the process ids of its parts."""
    folder = temporary_folder()
    with Parts(folder, secrets.ensure(PROJECT / ".env"), fsync=True) as parts:
        stack = Stack(parts)
        stack.start()
        try:
            yield stack, [process.pid for process in Process.all_in(folder) if process.pid]
        finally:
            stack.stop()


async def measure(stack: Stack, pids: list[int], batches: int, batch: int, rate: float, duration_s: float) -> None:
    """Print the figures of a busy system and of a calm one."""
    env = stack.site.client_env()
    async with (
        Client(env["HOLDFAST_AMQP_URL"], name="benchmark") as client,
        Client(env["HOLDFAST_OPERATOR_AMQP_URL"], name="benchmark operator") as operator,
        tap(operator.connection) as seen,
    ):
        accounts = [f"bench-{number}" for number in range(200)]
        await client.send_together([OpenAccount(account_id=each) for each in accounts])
        grants = [CreditAccount(credit_id=uuid4(), account_id=each, amount=10**9) for each in accounts]
        for sent in await client.send_together(grants):
            await client.wait_for_operation(sent.command.subject, sent.id)
        await client.outcome(await operator.put_item("sword", 1, 10**9))
        await _busy(client, seen, accounts, pids, 20, batch)
        busy = await _busy(client, seen, accounts, pids, batches, batch)
        calm = await _calm(client, seen, accounts, pids, rate, duration_s)
    report(busy, calm, batch, rate)


async def _busy(
    client: Client, seen: asyncio.Queue[Seen | None], accounts: list[str], pids: list[int], batches: int, batch: int
) -> Figures:
    orders = [
        [PlaceOrder(order_id=uuid4(), account_id=accounts[n % 200], item="sword") for n in range(k, k + batch)]
        for k in range(0, batches * batch, batch)
    ]
    began = {order.order_id: 0.0 for group in orders for order in group}
    watching = asyncio.create_task(completed(seen, set(began)))
    cpu, own, start = cpu_seconds(pids), time.process_time(), time.monotonic()
    for group in orders:
        await client.place_orders(group)
    await watching
    took = time.monotonic() - start
    return Figures(len(began), took, cpu_seconds(pids) - cpu, time.process_time() - own, [])


async def _calm(
    client: Client,
    seen: asyncio.Queue[Seen | None],
    accounts: list[str],
    pids: list[int],
    rate: float,
    duration_s: float,
) -> Figures:
    """Orders at fixed moments, whether or not earlier ones have ended."""
    loop = asyncio.get_running_loop()
    ids = [uuid4() for _ in range(int(rate * duration_s))]
    began: dict[UUID, float] = {}
    watching = asyncio.create_task(completed(seen, set(ids)))
    cpu, own, start = cpu_seconds(pids), time.process_time(), loop.time()
    sending = []
    for number, order_id in enumerate(ids):
        await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
        began[order_id] = loop.time()
        sending.append(
            asyncio.create_task(client.place_order(accounts[number % 200], "sword", order_id=order_id, after=()))
        )
    await asyncio.gather(*sending)
    ended = await watching
    took = loop.time() - start
    latencies = sorted(ended[order_id] - began[order_id] for order_id in ids)
    return Figures(len(ids), took, cpu_seconds(pids) - cpu, time.process_time() - own, latencies)


async def completed(seen: asyncio.Queue[Seen | None], wanted: set[UUID]) -> dict[UUID, float]:
    """When each of these orders was completed, as seen at the broker."""
    ended: dict[UUID, float] = {}
    while len(ended) < len(wanted):
        each = await asyncio.wait_for(seen.get(), SAGA_S_MAX)
        if each is None:
            raise RuntimeError("the connection was lost")
        if isinstance(each.fact, OrderFailed):
            raise RuntimeError(f"order {each.fact.order_id} failed: {each.fact.reason}")
        if isinstance(each.fact, OrderCompleted) and each.fact.order_id in wanted:
            ended[each.fact.order_id] = each.at_s
    return ended


def report(busy: Figures, calm: Figures, batch: int, rate: float) -> None:
    """Print what was measured."""
    table = Table("figure", "value", title="holdfast speed")
    table.add_row(f"sagas measured, in batches of {batch} from one client", str(busy.sagas))
    table.add_row("sagas per second", f"{busy.sagas / busy.seconds:.0f}")
    table.add_row("CPU ms per saga, broker, databases and services", f"{1000 * busy.cpu / busy.sagas:.2f}")
    table.add_row("CPU ms per saga, the client that sends and watches", f"{1000 * busy.client_cpu / busy.sagas:.2f}")
    cuts = statistics.quantiles(calm.latencies, n=100)
    table.add_row(f"sagas measured, at {rate:g} a second", str(calm.sagas))
    table.add_row("order.place to order.completed, median", f"{1000 * statistics.median(calm.latencies):.1f} ms")
    table.add_row("order.place to order.completed, 99th percentile", f"{1000 * cuts[98]:.1f} ms")
    table.add_row("CPU ms per saga when calm", f"{1000 * calm.cpu / calm.sagas:.2f}")
    Console(width=100).print(table)


def main(
    batches: Annotated[int, typer.Option(help="Batches to send as fast as they are confirmed.")] = 200,
    batch: Annotated[int, typer.Option(help="Orders in a batch.")] = 50,
    rate: Annotated[float, typer.Option(help="Orders a second, one by one.")] = 20.0,
    duration_s: Annotated[float, typer.Option(help="Seconds at that rate.")] = 20.0,
) -> None:
    """Measure a busy and a calm system."""
    os.environ.update({f"{service.upper()}_LOG_LEVEL": "warning" for service in SERVICES})
    with system() as (stack, pids):
        asyncio.run(measure(stack, pids, batches, batch, rate, duration_s))


if __name__ == "__main__":
    typer.run(main)
