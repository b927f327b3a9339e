"""Three brokers as one: the leader of the inboxes is killed, then the majority; what was confirmed is not lost."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from client.errors import Unconfirmed
from contracts.commands import OpenAccount
from contracts.topology import SERVICES
from holdfast.delivery.names import inbox_queue
from holdfast.delivery.words import Service as Name
from local.account import temporary_folder
from local.guard import _guarded
from local.parts import Parts
from local.service import Service
from tests.evidence import record
from tests.faults.cluster import NODES, Cluster
from tests.faults.detour import through
from tests.faults.proxy import Proxy
from tests.faults.stage import Stage
from tests.faults.traffic import Traffic
from tests.service.sites import until, value

AT_WORK = 30
LINES_A_SECOND_MAX = 12


class Balanced(Stage):
    """A stage on a cluster: whoever connects reaches a node that lives."""

    def __init__(self, parts: Parts, cluster: Cluster, balancer: Proxy) -> None:
        self.cluster, self._balancer = cluster, balancer
        super().__init__(parts)

    @property
    def env(self) -> dict[str, str]:
        """The URLs of a client, an operator and the audit, the broker's by way of the balancer."""
        found = super().env
        return {name: through(self._balancer, url) if "AMQP" in name else url for name, url in found.items()}

    def instance(self, name: Name, number: int = 1) -> Service:
        """An instance that connects to the balancer."""
        service = super().instance(name, number)
        variable = f"{name.upper()}_AMQP_URL"
        service.env[variable] = through(self._balancer, service.env[variable])
        return service


@pytest.fixture(scope="module")
def balanced(mortal_parts: Parts) -> Iterator[Balanced]:
    """The three services on three brokers."""
    with ExitStack() as ends:
        folders = [temporary_folder() for _ in range(NODES + 1)]
        for folder in folders:
            ends.enter_context(_guarded(folder))
        cluster = Cluster(folders[0], folders[1:], mortal_parts.settings)
        ends.callback(cluster.stop)
        cluster.start()
        parts = copy.copy(mortal_parts)
        parts.broker = cluster.nodes[0]
        stage = Balanced(parts, cluster, ends.enter_context(Proxy(cluster.addresses)))
        ends.callback(stage.close)
        stage.open()
        yield stage


@pytest.mark.timeout(240)
async def test_the_leader_of_the_inboxes_is_killed(balanced: Balanced) -> None:
    """Events go on without it. Questions wait for it: their queues are not worth a copy on each node."""
    cluster = balanced.cluster
    async with Traffic(balanced, seed=1) as traffic:
        await traffic.reaches(AT_WORK)
        leaders = [cluster.leader(balanced.site.vhost, inbox_queue(service)) for service in SERVICES]
        assert len({leader.name for leader in leaders}) == 1
        await asyncio.to_thread(leaders[0].kill)
        began = asyncio.get_running_loop().time()
        accounts = [f"{traffic.name}-during-{number}" for number in range(AT_WORK)]
        for account in accounts:
            await traffic.publish(OpenAccount(account_id=account))
        await until(lambda: _opened(balanced, accounts), "the user service handles what is sent now")
        record("cluster: at work again after its leader died", f"{asyncio.get_running_loop().time() - began:.1f} s")
        await asyncio.to_thread(cluster.start_nodes, leaders[:1])
        await traffic.settled("cluster: the leader of the inboxes killed")


@pytest.mark.timeout(240)
async def test_the_majority_is_killed(balanced: Balanced) -> None:
    """Nothing is confirmed while it is away, and the services wait without spinning."""
    cluster = balanced.cluster
    async with Traffic(balanced, seed=2) as traffic:
        await traffic.reaches(AT_WORK)
        lost = cluster.nodes[1:]
        await asyncio.gather(*(asyncio.to_thread(node.kill) for node in lost))
        await until(lambda: _online(balanced) == 1, "the last node knows that it is alone")
        lines, began = _lines(balanced), asyncio.get_running_loop().time()
        with pytest.raises(Unconfirmed):
            await traffic.client.open_account("nobody-confirms")
        lasted_s = asyncio.get_running_loop().time() - began
        assert _lines(balanced) - lines < lasted_s * LINES_A_SECOND_MAX * len(SERVICES)
        await asyncio.to_thread(cluster.start_nodes, lost)
        await traffic.settled("cluster: the majority killed")


async def _opened(stage: Balanced, accounts: list[str]) -> bool:
    opened = "SELECT count(*) FROM accounts WHERE account_id = ANY(:ids)"
    return bool(await value(stage.site, "user_service", opened, ids=accounts) == len(accounts))


def _online(stage: Balanced) -> int:
    return len(stage.cluster.queue(stage.site.vhost, "user_service")["online"])  # type: ignore[arg-type]


def _lines(stage: Balanced) -> int:
    return sum(service.process.log.read_text().count("\n") for service in stage.services.values())
