"""Our own broker and cluster start where they can, keep what they have, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import aio_pika
import asyncpg
import pytest

import local.broker
import local.postgres
from local import processes
from local.account import temporary_folder
from local.parts import Parts
from local.processes import Process, StartError
from local.sources import PROJECT
from provision import secrets
from provision.secrets import free_port

USUAL_PORTS = (5672, 15672, 5432)

own_parts = pytest.mark.skipif(
    bool(os.environ.get("HOLDFAST_RABBITMQ_MANAGEMENT_URL") or os.environ.get("HOLDFAST_POSTGRES_ADMIN_URL")),
    reason="the caller named parts that are not ours to stop",
)


@pytest.fixture
def folder() -> Iterator[Path]:
    made = temporary_folder()
    yield made
    for process in Process.all_in(made):
        process.kill()
    subprocess.run(["rm", "-rf", made], check=True)


@pytest.fixture
def taken() -> Iterator[tuple[int, ...]]:
    """The usual ports, none of them free for the length of a test."""
    with ExitStack() as stack:
        for port in USUAL_PORTS:
            other = stack.enter_context(socket.socket())
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                other.bind(("127.0.0.1", port))
                other.listen()
            except OSError:
                continue  # somebody else has it, which is as good
        yield USUAL_PORTS


def family(process: Process) -> list[int]:
    assert process.pid
    return [process.pid, *processes._descendants(process.pid)]


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if processes._birth(pid)]


@own_parts
async def test_they_start_beside_others_and_keep_what_they_have_through_a_crash(
    folder: Path, taken: tuple[int, ...]
) -> None:
    settings = secrets.ensure(folder / "env")
    for name, port in zip(secrets.PORTS, taken, strict=True):
        settings[name] = str(port)
    parts = Parts(folder, settings, usual_ports=True)
    parts.start()
    site = parts.site("crash")
    site.provision()
    urls = site.client_env()
    assert not set(taken) & {
        int(address.rpartition(":")[2]) for address in (parts.broker.address, parts.postgres.address)
    }
    await _put(site.amqp_url("user_service"), parts.postgres.admin_url)
    everything = [pid for process in Process.all_in(folder) for pid in family(process)]
    assert len(everything) > 5

    parts.broker.kill()
    parts.postgres.kill()
    assert parts.broker.pid is parts.postgres.pid is None
    parts.start()
    assert site.client_env() == urls
    assert await _kept(parts.postgres.admin_url) == [7]
    assert _messages(parts, site.vhost) == 1

    everything += [pid for process in Process.all_in(folder) for pid in family(process)]
    addresses = (parts.broker.address, parts.postgres.address)
    parts.stop()
    assert alive(everything) == []
    for address in addresses:
        port = int(address.rpartition(":")[2])
        assert secrets.free_port(port) == port
    assert Process.all_in(folder) == []


async def _put(amqp_url: str, admin_url: str) -> None:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        dead = await channel.get_exchange("dead", ensure=False)
        message = aio_pika.Message(b"{}", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await dead.publish(message, "user_service")
    cluster = await asyncpg.connect(admin_url)
    await cluster.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
    await cluster.close()


async def _kept(admin_url: str) -> list[int]:
    cluster = await asyncpg.connect(admin_url)
    rows = await cluster.fetch("SELECT n FROM kept")
    await cluster.close()
    return [row["n"] for row in rows]


def _messages(parts: Parts, vhost: str) -> int:
    """Counted by getting one: the API's own numbers are seconds old."""
    body = {"count": 10, "ackmode": "ack_requeue_true", "encoding": "auto"}
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    management = parts.broker.management
    management.call("PUT", "permissions", vhost, "admin", body=everything)
    return len(management.call("POST", "queues", vhost, "user_service.dead", "get", body=body))


@own_parts
def test_nothing_is_left_when_the_program_is_killed() -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom local.guard import throwaway_parts\nfrom provision import secrets\n"
        "with throwaway_parts(secrets.ensure(Path(sys.argv[1]))) as parts:\n"
        "    print(parts.folder, flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(PROJECT / ".env")]
    started = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert started.stdin
    assert started.stdout
    folder = Path(started.stdout.readline().strip())
    recorded = Process.all_in(folder)
    assert {process.name for process in recorded} == {"rabbitmq", "epmd", "postgres"}
    everything = [pid for process in recorded for pid in family(process)]
    started.send_signal(signal.SIGKILL)
    started.wait()
    end = time.monotonic() + 30
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not folder.exists()
    assert alive(everything) == []
    started.stdin.close()
    started.stdout.close()


@own_parts
def test_a_port_that_is_taken_between_choosing_and_using_it_is_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        for module in (local.broker, local.postgres):
            first = iter([taken])
            monkeypatch.setattr(module, "free_port", lambda wanted, first=first: next(first, 0) or free_port(wanted))
        parts = Parts(folder, secrets.ensure(folder / "env"), fsync=False)
        parts.start()
        assert str(taken) not in parts.broker.address + parts.postgres.address
        assert not parts.broker.management.ready()


@own_parts
def test_a_start_that_fails_says_why_and_leaves_nothing(folder: Path) -> None:
    parts = Parts(folder, secrets.ensure(folder / "env"), fsync=False)
    parts.postgres.start()
    parts.postgres.stop()
    (folder / "postgres" / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(StartError, match="incompatible"):
        parts.start()
    assert Process.all_in(folder) == []


def test_a_process_that_ignores_the_signal_is_ended_all_the_same(tmp_path: Path) -> None:
    process = Process(tmp_path, "stubborn")
    process.start(["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1 & wait; done"], {"PATH": os.defpath})
    while "ready" not in process.log.read_text():
        time.sleep(0.01)
    pids = family(process)
    assert process.stop(wait_s=0.1) == -signal.SIGKILL
    assert alive(pids) == []


def test_another_process_with_the_same_id_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        (tmp_path / "old.pid").write_text(f"{stranger.pid} 12345 SIGTERM\n")
        process = Process(tmp_path, "old")
        assert process.pid is None
        process.stop()
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_is_known_by_its_folder_alone(tmp_path: Path) -> None:
    Process(tmp_path, "one").start(["/bin/sleep", "60"], {})
    (found,) = Process.all_in(tmp_path)
    with pytest.raises(StartError, match="running already"):
        found.start(["/bin/sleep", "60"], {})
    assert found.stop() == -signal.SIGTERM
    assert Process.all_in(tmp_path) == []
