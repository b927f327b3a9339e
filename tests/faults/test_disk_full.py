"""The disk of one service's database is full: the service waits until there is room, and loses nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from contracts.commands import PlaceOrder
from holdfast.delivery.words import Service as Name
from local.account import unprivileged
from local.parts import Parts
from local.postgres import apart
from tests.faults.stage import Stage
from tests.faults.traffic import Traffic
from tests.service.sites import until

SERVICE: Name = "order_service"
DISK_BYTES = 64 * 1024 * 1024
LINES_A_SECOND_MAX = 12
FULL = "No space left on device"


@pytest.fixture(scope="module")
def disk(mortal_parts: Parts) -> Iterator[Path]:
    """A small disk of its own."""
    folder = mortal_parts.folder / "disk"
    folder.mkdir(mode=0o711)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0711", "holdfast-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"this test needs the right to mount a tmpfs, such as root's: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def _small(parts: Parts, disk: Path) -> Iterator[Stage]:
    """A stage whose order service keeps its database on that disk."""
    stage = Stage(parts)
    stage.site.provision()
    stage.site.migrate()
    space = disk / "space"
    space.mkdir(mode=0o700)
    account = unprivileged()
    if account:
        account.own(space)
    name = f"{stage.site.prefix}{SERVICE}"
    _as_admin(parts, f"CREATE TABLESPACE small LOCATION '{space}'", f'ALTER DATABASE "{name}" SET TABLESPACE small')
    try:
        stage.open()
        yield stage
    finally:
        stage.close()
        _as_admin(parts, "DROP TABLESPACE small")


@pytest.mark.timeout(240)
async def test_the_service_waits_for_room(mortal_parts: Parts, disk: Path) -> None:
    with _small(mortal_parts, disk) as stage:
        service = stage.services[SERVICE]
        async with Traffic(stage, seed=1) as traffic:
            await traffic.reaches(30)
            began = asyncio.get_running_loop().time()
            filler = disk / "filler"
            _fill(filler)
            await traffic.client.place_orders([_order() for _ in range(500)])
            await until(lambda: FULL in service.process.log.read_text(), "the service finds the disk full")
            pid = service.process.pid
            filler.unlink()
            await traffic.reaches(10)
            waited_s = asyncio.get_running_loop().time() - began
            assert service.process.pid == pid
            assert _complaints(service.process.log) <= 20 + LINES_A_SECOND_MAX * waited_s
            await traffic.settled(f"disk of {SERVICE} full")


def _order() -> PlaceOrder:
    """One that fails soon: its row alone matters, which needs room."""
    return PlaceOrder(order_id=uuid4(), account_id="nobody", item="nothing", deadline_s=8.0)


def _complaints(log: Path) -> int:
    """How many lines tell of trouble; how every saga ended is told as well."""
    return sum(1 for line in log.read_text().splitlines() if '"level": "info"' not in line)


def _fill(filler: Path) -> None:
    """Take all the room there is."""
    with filler.open("wb", buffering=0) as file:
        for size in (1024 * 1024, 4096):
            try:
                while True:
                    file.write(os.urandom(size))
            except OSError:
                continue


def _as_admin(parts: Parts, *statements: str) -> None:
    async def work() -> None:
        connection = await asyncpg.connect(parts.postgres.admin_url)
        try:
            for each in statements:
                await connection.execute(each)
        finally:
            await connection.close()

    apart(work())
