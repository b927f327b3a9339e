"""The network between the services and their broker or databases fails in every way a proxy can: all sagas end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Literal

import pytest

from local.parts import Parts
from tests.faults.detour import Detour
from tests.faults.proxy import COMMITTED, CONFIRM, Proxy
from tests.faults.traffic import Traffic
from tests.service.sites import until

Part = Literal["broker", "postgres"]
PARTS: tuple[Part, ...] = ("broker", "postgres")
AT_WORK = 30
"""Sagas that have ended before the network fails, so that it fails under load."""


@pytest.fixture(scope="module")
def detour(mortal_parts: Parts) -> Iterator[Detour]:
    """The three services, behind proxies."""
    with Detour.opened(mortal_parts) as stage:
        yield stage


@pytest.fixture
def proxy(detour: Detour, part: Part) -> Iterator[Proxy]:
    """The proxy before this part; it is whole again after the test."""
    chosen = detour.broker if part == "broker" else detour.postgres
    yield chosen
    chosen.heal()


@pytest.mark.parametrize("part", PARTS)
async def test_every_connection_is_reset(detour: Detour, proxy: Proxy, part: Part) -> None:
    async with Traffic(detour, seed=1) as traffic:
        await traffic.reaches(AT_WORK)
        for _ in range(3):
            assert proxy.cut() > 0
            await traffic.reaches(1)
        await traffic.settled(f"{part}: all connections reset, three times")


@pytest.mark.parametrize("part", PARTS)
async def test_a_connection_ends_before_the_answer_that_it_is_done(detour: Detour, proxy: Proxy, part: Part) -> None:
    answer = CONFIRM if part == "broker" else COMMITTED
    async with Traffic(detour, seed=2) as traffic:
        await traffic.reaches(AT_WORK)
        for number in range(proxy.cuts + 1, proxy.cuts + 6):
            proxy.cut_before(answer)
            await until(lambda number=number: proxy.cuts >= number, "a connection was cut before its answer")
        await traffic.settled(f"{part}: cut before the {'confirm' if part == 'broker' else 'answer to a commit'}, x 5")


@pytest.mark.parametrize("part", PARTS)
async def test_a_connection_ends_in_the_middle_of_a_word(detour: Detour, proxy: Proxy, part: Part) -> None:
    async with Traffic(detour, seed=3) as traffic:
        await traffic.reaches(AT_WORK)
        for number, count in enumerate((1, 7, 500, 4_001, 20_003), proxy.cuts + 1):
            proxy.cut_after(count)
            await until(lambda number=number: proxy.cuts >= number, "a connection was cut in the middle")
        await traffic.settled(f"{part}: cut after 1, 7, 500, 4001 and 20003 bytes")


@pytest.mark.parametrize("part", PARTS)
async def test_everything_takes_a_fifth_of_a_second(detour: Detour, proxy: Proxy, part: Part) -> None:
    async with Traffic(detour, seed=4) as traffic:
        await traffic.reaches(AT_WORK)
        proxy.delay_s = 0.2
        await traffic.reaches(20)
        proxy.heal()
        await traffic.settled(f"{part}: 0.2 s slower each way")


@pytest.mark.parametrize("directions", [("to server",), ("to client",), ("to server", "to client")])
@pytest.mark.parametrize("part", PARTS)
async def test_what_connections_carry_is_lost_without_an_end(
    detour: Detour, proxy: Proxy, part: Part, directions: tuple[Literal["to server", "to client"], ...]
) -> None:
    async with Traffic(detour, seed=5) as traffic:
        await traffic.reaches(AT_WORK)
        proxy.lose(*directions)
        began = asyncio.get_running_loop().time()
        await traffic.reaches(AT_WORK, within_s=300)
        print(f"{part} {directions}: at work again after {asyncio.get_running_loop().time() - began:.1f} s")
        await traffic.settled(f"{part}: half-open, {' and '.join(directions)} lost")
