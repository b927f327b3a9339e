"""A cluster of three private brokers on loopback, whose quorum queues survive the loss of any one of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import URLError

from local.account import unprivileged
from local.broker import Broker
from local.processes import Process, StartError
from provision.management import ManagementError
from provision.secrets import free_port, write

NODES = 3
MEET_S_MAX = 60


class Node(Broker):
    """One broker of the cluster. `seed` is the name of the node that it joins when it first starts."""

    def __init__(self, folder: Path, settings: Mapping[str, str], epmd: Process, name: str, seed: str | None) -> None:
        super().__init__(folder, settings)
        self._epmd = epmd
        self.name, self._seed = name, seed

    def stop(self) -> None:
        """End this node; the port mapper belongs to all."""
        self._node.stop(wait_s=30)

    def _write_configuration(self) -> list[Path]:
        files = super()._write_configuration()
        if self._seed:
            lines = ["cluster_formation.peer_discovery_backend = classic_config"]
            lines += [
                f"cluster_formation.classic_config.nodes.{number} = {name}"
                for number, name in enumerate((self._seed, self.name), 1)
            ]
            write(files[0], files[0].read_text() + "\n".join(lines) + "\n")
        return files


class Cluster:
    """Three nodes with one cookie and one port mapper: `folder` has the mapper's log, `own` is one folder a node."""

    def __init__(self, folder: Path, own: Sequence[Path], settings: Mapping[str, str]) -> None:
        self._epmd = Process(folder, "epmd")
        names = [f"holdfast-{secrets.token_hex(4)}@localhost" for _ in range(NODES)]
        self.nodes: list[Node] = []
        port, cookie = free_port(), secrets.token_hex(20)
        for each, name in zip(own, names, strict=True):
            _prepare(each, name, port, cookie)
            self.nodes.append(Node(each, settings, self._epmd, name, None if name == names[0] else names[0]))

    def start(self) -> None:
        """Return once all nodes are ready and know each other. Raises `StartError` or `NoPart`."""
        self.nodes[0].start()
        self.start_nodes(self.nodes[1:])
        end = time.monotonic() + MEET_S_MAX
        while not all(self._knows_all(node) for node in self.nodes):
            if time.monotonic() > end:
                raise StartError(f"the nodes did not find each other within {MEET_S_MAX} s")
            time.sleep(0.2)

    def _knows_all(self, node: Node) -> bool:
        """Whether all have started to the end: on a node that has not quite, a new virtual host stays down."""
        known = node.management.call("GET", "nodes")
        started = [each for each in known if any(app["name"] == "rabbit" for app in each.get("applications", ()))]
        return len(started) == len(self.nodes)

    def start_nodes(self, nodes: list[Node]) -> None:
        """Start these together: one that was killed in a majority waits for another before it is ready."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(Node.start, nodes))

    def stop(self) -> None:
        """End all nodes and the port mapper."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(Node.kill, [node for node in self.nodes if node.pid]))
        self._epmd.stop()

    def addresses(self) -> list[str]:
        """Where the nodes that run take AMQP connections."""
        return [node.address for node in self.nodes if node.pid]

    def leader(self, vhost: str, queue: str) -> Node:
        """The node that leads this quorum queue, as a node that runs knows it."""
        found = self.queue(vhost, queue)
        return next(node for node in self.nodes if node.name == found["leader"])

    def queue(self, vhost: str, queue: str) -> dict[str, object]:
        """What the management API of a node that runs says of this queue: `leader`, `members`, `online`."""
        for node in self.nodes:
            if node.pid:
                try:
                    found: dict[str, object] = node.management.call("GET", "queues", vhost, queue)
                except (ManagementError, URLError, OSError):
                    continue
                return found
        raise AssertionError("no node of the cluster answers")


def _prepare(folder: Path, name: str, epmd_port: int, cookie: str) -> None:
    """The node's folder, with the name, the port mapper and the cookie that the cluster shares."""
    state = folder / "rabbitmq"
    state.mkdir()
    write(folder / "rabbitmq.ports", f"node={name}\nepmd={epmd_port}\n")
    secret = state / ".erlang.cookie"
    secret.write_text(cookie)
    secret.chmod(0o400)
    account = unprivileged()
    if account:
        account.own(state, secret)
