"""What an operator does to a broker of ours from its own command line."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from local import sources
from local.account import unprivileged
from local.broker import Broker
from tests.service.sites import until


def control(broker: Broker, *words: str) -> str:
    """What `rabbitmqctl` prints for these words. Raises `CalledProcessError` if it fails."""
    program, account = sources.rabbitmq(), unprivileged()
    done = subprocess.run(
        [program.server.parent / "rabbitmqctl", *words],
        env=broker._environment(program),
        cwd=broker._state,
        capture_output=True,
        text=True,
        check=True,
        **(account.popen_arguments() if account else {}),
    )
    return str(done.stdout)


@asynccontextmanager
async def alarmed(broker: Broker) -> AsyncIterator[None]:
    """The broker has an alarm for as long as this lasts."""
    await asyncio.to_thread(control, broker, "set_vm_memory_high_watermark", "0.0001")
    try:
        await until(lambda: asyncio.to_thread(broker.management.ready), "the broker says that it has an alarm")
        yield
    finally:
        await asyncio.to_thread(control, broker, "set_vm_memory_high_watermark", "absolute", "1GiB")
    await until(lambda: asyncio.to_thread(lambda: broker.management.ready() is None), "the alarm is over")
