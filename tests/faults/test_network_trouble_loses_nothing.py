"""The network between the services and their broker or databases fails in every way a proxy can: all sagas end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Literal
from urllib.error import HTTPError

import pytest

from client.connection import Connection
from holdfast.delivery.names import dead_queue
from local.parts import Parts
from local.service import Service
from provision.direct import open_directly
from tests.evidence import record
from tests.faults.detour import Detour, through
from tests.faults.proxy import COMMITTED, CONFIRM, Direction, Proxy
from tests.faults.traffic import SAGA_S_MAX, Traffic
from tests.service.sites import until

Part = Literal["broker", "postgres"]
PARTS: tuple[Part, ...] = ("broker", "postgres")
AT_WORK = 30
"""Sagas that have ended before the network fails, so that it fails under load."""
DELAY_S = 0.2
SLOW_S_MAX = 5 * SAGA_S_MAX
"""While each statement takes twice that delay, and eight shoppers ask over a service's two connections for reading."""
SILENCE_S = 12.0
"""Longer than any service waits for a connection to be made."""


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
async def test_connections_end_anywhere_and_are_slow(detour: Detour, proxy: Proxy, part: Part) -> None:
    """All at once, before the answer that a publish or a commit is done, and in the middle of a word."""
    async with Traffic(detour, seed=1) as traffic:
        await traffic.reaches(AT_WORK)
        for _ in range(3):
            assert proxy.cut() > 0
            await traffic.reaches(5)
        for _ in range(5):
            cuts = proxy.cuts
            proxy.cut_before(CONFIRM if part == "broker" else COMMITTED)
            await _cut(proxy, cuts)
        for count in (1, 7, 500, 4_001, 20_003):
            cuts = proxy.cuts
            proxy.cut_after(count)
            await _cut(proxy, cuts)
        proxy.delay_s = DELAY_S
        await traffic.reaches(10, within_s=SLOW_S_MAX)
        proxy.heal()
        await traffic.settled(f"{part}: connections reset, cut before the answer, cut in the middle, slow")


@pytest.mark.parametrize(
    ("part", "directions"),
    [("broker", ("to server",)), ("broker", ("to client",)), ("postgres", ("to server", "to client"))],
)
async def test_what_connections_carry_is_lost_without_an_end(
    detour: Detour, proxy: Proxy, part: Part, directions: tuple[Direction, ...]
) -> None:
    """The services find out by themselves, before any saga is later than it may be."""
    async with Traffic(detour, seed=2) as traffic:
        await traffic.reaches(AT_WORK)
        dropped = proxy.dropped
        proxy.lose(*directions)
        began = asyncio.get_running_loop().time()
        await until(lambda: proxy.dropped > dropped, "something is lost")
        # Each shopper may still get an answer that was under way: one more than these came through since.
        await traffic.reaches(traffic.shoppers + 1)
        silent_s = asyncio.get_running_loop().time() - began
        record(f"half-open, {part}, {' and '.join(directions)} lost: at work again after", f"{silent_s:.1f} s")
        assert silent_s < SAGA_S_MAX
        await traffic.reaches(AT_WORK)
        await traffic.settled(f"{part}: half-open, {' and '.join(directions)} lost")


async def test_whoever_connects_hears_nothing_for_a_while(detour: Detour) -> None:
    async with Traffic(detour, seed=3) as traffic:
        await traffic.reaches(AT_WORK)
        proxies = (detour.broker, detour.postgres)
        dropped = [proxy.dropped for proxy in proxies]
        for proxy in proxies:
            proxy.lose(new_too=True)
            proxy.cut()
        # How long it lasts is the fault itself. The services say meanwhile what they miss.
        await asyncio.gather(asyncio.sleep(SILENCE_S), *(_says_so(each) for each in detour.services.values()))
        assert all(proxy.dropped > before for proxy, before in zip(proxies, dropped, strict=True))
        for proxy in proxies:
            proxy.heal()
        await traffic.settled(f"nobody answers new connections for {SILENCE_S:.0f} s")


async def test_a_client_whose_connection_died_unnoticed_makes_another(detour: Detour) -> None:
    connection = Connection(through(detour.broker, detour.env["HOLDFAST_OPERATOR_AMQP_URL"]), "half-open")
    try:
        await connection.open_channel()
        dropped = detour.broker.dropped
        detour.broker.lose()
        channel = await connection.open_channel()
        assert detour.broker.dropped > dropped
        assert (await channel.declare_queue(dead_queue("user_service"), passive=True)).declaration_result
    finally:
        await connection.close()


async def _says_so(service: Service) -> None:
    """Return once the service says on /health that it has neither broker nor database."""

    async def says() -> bool:
        said = await asyncio.to_thread(_problems, service)
        return all(any(each.startswith(part) for each in said) for part in ("consumer:", "relay:", "database:"))

    await until(says, f"{service.name} says that it has neither broker nor database", SILENCE_S)


def _problems(service: Service) -> list[str]:
    """What keeps the service from working, as it says itself; nothing while it is healthy."""
    try:
        with open_directly(f"{service.url}/health", within_s=SILENCE_S):
            return []
    except HTTPError as error:
        return [str(each) for each in json.load(error)["problems"]]


async def _cut(proxy: Proxy, cuts: int) -> None:
    await until(lambda: proxy.cuts > cuts, "a connection was cut because of what it carried")
