"""Who opens connections to the pages and says nothing keeps nobody out for long, and costs the service few sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from prometheus_client import CollectorRegistry

from holdfast.delivery import web
from holdfast.delivery.web import Web
from tests.service.sites import until

FEW, BRIEF_S = 4, 2.0
GET = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


@asynccontextmanager
async def pages() -> AsyncIterator[Web]:
    async def healthy() -> list[str]:
        return []

    async def nothing() -> None:
        return

    served = Web("127.0.0.1", 0, healthy, nothing, CollectorRegistry(), {}, "")
    running = asyncio.create_task(served.run())
    yield served
    served.stop()
    await running


async def asked(served: Web) -> bool:
    """Whether a request is answered."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(GET)
        answer = await reader.read(64)
        writer.close()
    except ConnectionError:
        return False
    return answer.startswith(b"HTTP/1.1 200")


async def ended(reader: asyncio.StreamReader) -> None:
    """Return once the other side has closed the connection, without a word."""
    with suppress(ConnectionError):
        assert await reader.read() == b""


async def test_half_a_request_is_given_up_and_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "CONNECTIONS_MAX", FEW)
    monkeypatch.setattr(web, "CONNECTION_S_MAX", BRIEF_S)
    async with pages() as served:
        await until(lambda: asked(served), "the pages are there")
        open_ones = served._server.server_state.connections
        await until(lambda: not open_ones, "the connection that asked is closed")
        halves = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(2 * FEW)]
        for _, writer in halves:
            writer.write(GET[:10])
        async with asyncio.timeout(10):
            await asyncio.gather(*(ended(reader) for reader, _ in halves[FEW:]))
            assert len(open_ones) == FEW
            assert not await asked(served)
            await asyncio.gather(*(ended(reader) for reader, _ in halves[:FEW]))
        assert await asked(served)
