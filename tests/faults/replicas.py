"""Whether two instances of a service both live and work."""

from __future__ import annotations

from client.client import Client
from client.errors import Unreachable
from holdfast.delivery.words import Service as Name
from local.service import Service
from tests.service.sites import until

BOTH_S_MAX = 18.0


async def both_work(client: Client, name: Name, instances: tuple[Service, Service]) -> None:
    """Return once each of the two has answered a question and says that it is whole.

    Only one of them is handed events, the other stands by for these (single active consumer); questions, the clock and
    the sweep of the outbox are shared, and of these the answers tell who gave them.
    """
    pids = {each.process.pid for each in instances}
    assert len(pids - {None}) == len(instances), f"two of {name} do not live: {pids}"
    answered: set[int | None] = set()

    async def all_answered() -> bool:
        try:
            status = await client.ask.status(name)
        except Unreachable:
            return False
        if status.healthy:
            answered.add(int(status.instance.rpartition(":")[2]))
        return pids <= answered

    await until(all_answered, f"both of {name} answer questions and are healthy", BOTH_S_MAX)
    assert pids == {each.process.pid for each in instances}, f"one of {name} has ended by itself"
