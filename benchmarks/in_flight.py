"""What an order costs the user service on an account with 1 and with 1,000 other orders in flight.

python -m benchmarks.in_flight
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from benchmarks.cpu import cpu_seconds
from benchmarks.speed import completed, system
from client.client import Client
from client.tap import Seen, tap
from contracts.commands import CreditAccount, OpenAccount, PlaceOrder
from contracts.events import FulfilmentRequested
from local.stack import Stack

MANY = 1_000
ROUNDS = 3
"""The least of so many measurements counts: the machine may do other things as well."""


async def measure(stack: Stack, pid: int, batch: int, sagas: int) -> None:
    """Print the processor time of the user service for each order, with few and with many in flight, and the ratio."""
    env = stack.site.client_env()
    async with (
        Client(env["HOLDFAST_AMQP_URL"], name="benchmark") as client,
        Client(env["HOLDFAST_OPERATOR_AMQP_URL"], name="benchmark operator") as operator,
        tap(operator.connection) as seen,
    ):
        await client.outcome(await operator.put_item("sword", 1, 10**9))
        await client.outcome(await operator.put_item("castle", 1, fulfilment="external"))
        cost: dict[int, float] = {}
        for in_flight in (1, MANY):
            account = f"bench-{in_flight}"
            await client.send(OpenAccount(account_id=account))
            credit = await client.send(CreditAccount(credit_id=uuid4(), account_id=account, amount=10**9))
            await client.wait_for_operation(account, credit.id)
            await _keep_in_flight(client, seen, account, in_flight)
            await _orders(client, seen, account, pid, batch, sagas // 4)
            cost[in_flight] = min([await _orders(client, seen, account, pid, batch, sagas) for _ in range(ROUNDS)])
    few, many = (1000 * cost[in_flight] for in_flight in (1, MANY))
    print(
        f"figure: CPU of the user service an order, batches of {batch}: {few:.3f} ms with 1 in flight on the account, "
        f"{many:.3f} ms with {MANY:,}, ratio {many / few:.2f}"
    )


async def _keep_in_flight(client: Client, seen: asyncio.Queue[Seen | None], account: str, count: int) -> None:
    """Orders that nobody fulfils: their coins stay reserved."""
    wanted = {uuid4() for _ in range(count)}
    await client.place_orders(
        [PlaceOrder(order_id=each, account_id=account, item="castle", deadline_s=3600.0) for each in sorted(wanted)]
    )
    while wanted:
        each = await asyncio.wait_for(seen.get(), 60)
        if each and isinstance(each.fact, FulfilmentRequested):
            wanted.discard(each.fact.order_id)


async def _orders(
    client: Client, seen: asyncio.Queue[Seen | None], account: str, pid: int, batch: int, count: int
) -> float:
    """Processor seconds of the process for each of these orders, from placed to completed, batch after batch."""
    before = cpu_seconds([pid])
    for _ in range(count // batch):
        orders = [PlaceOrder(order_id=uuid4(), account_id=account, item="sword") for _ in range(batch)]
        await client.place_orders(orders)
        await completed(seen, {each.order_id for each in orders})
    return (cpu_seconds([pid]) - before) / count


def main(
    batch: Annotated[int, typer.Option(help="Orders sent together.")] = 10,
    sagas: Annotated[int, typer.Option(help="Orders in each measurement.")] = 1_000,
) -> None:
    """Measure on a system of its own."""
    os.environ["USER_SERVICE_LOG_LEVEL"] = os.environ["ORDER_SERVICE_LOG_LEVEL"] = "warning"
    with system() as (stack, pids):
        (pid,) = (each for each in pids if b"user_service" in Path(f"/proc/{each}/cmdline").read_bytes())
        asyncio.run(measure(stack, pid, batch, sagas))


if __name__ == "__main__":
    typer.run(main)
