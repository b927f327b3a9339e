"""The listening sockets of every process that the project starts, read from the kernel's own tables."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from local.parts import Parts
from local.processes import Process, _descendants
from local.service import Service
from provision.secrets import read
from tests.service.sites import fresh, until

LISTENING, UNCONNECTED = "0A", "07"


@pytest.fixture(scope="module")
def service(parts: Parts) -> Iterator[Service]:
    site = fresh(parts, "loop")
    made = site.service("user_service")
    made.start()
    yield made
    made.stop()
    site.drop()


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the kernel tells of its sockets in another way")
async def test_loopback_and_no_other_address(parts: Parts, service: Service) -> None:
    ports = read(parts.folder / "rabbitmq.ports")
    postgres = int(parts.postgres.address.rpartition(":")[2])
    http = int(service.url.rpartition(":")[2])
    expected = {
        "rabbitmq": {int(ports[name]) for name in ("amqp", "ui", "dist")},
        "epmd": {int(ports["epmd"])},
        "postgres": {postgres},
        service.process.name: {http},
    }
    running = {each.name: each for each in Process.all_in(parts.folder) if each.pid}
    assert expected.keys() <= running.keys()
    for name, process in running.items():
        assert process.pid
        pids = [process.pid, *_descendants(process.pid)]
        listening = sockets(pids, LISTENING)
        assert all(ip_address(address).is_loopback for address, _ in listening), (name, listening)
        if name in expected:
            assert {port for _, port in listening} == expected[name], name
        await until(Passing(pids), f"{name} keeps no socket that takes from anybody")


class Passing:
    """Whether no socket that took datagrams from anybody at first still does: who looks up a name has one for a while,
    and then perhaps another.
    """

    def __init__(self, pids: list[int]) -> None:
        self._pids, self._lasting = pids, sockets(pids, UNCONNECTED)

    def __call__(self) -> bool:
        self._lasting &= sockets(self._pids, UNCONNECTED)
        return not self._lasting


def sockets(pids: list[int], state: str) -> set[tuple[str, int]]:
    """Address and port of each TCP or UDP socket in this state that one of the processes has."""
    inodes = {link for pid in pids for link in _links(pid)}
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        path = Path(f"/proc/{pids[0]}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            fields = line.split()
            if fields[3] == state and f"socket:[{fields[9]}]" in inodes:
                host, _, port = fields[1].partition(":")
                found.add((_address(host), int(port, 16)))
    return found


def _links(pid: int) -> Iterator[str]:
    try:
        entries = list(Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            yield str(entry.readlink())
        except FileNotFoundError:
            continue


def _address(text: str) -> str:
    """An address as the kernel prints it: words of 32 bits, each with its lowest byte first."""
    raw = bytes.fromhex(text)
    return str(ip_address(b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))))
