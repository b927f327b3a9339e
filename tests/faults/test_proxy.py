"""The proxy itself: what it forwards, drops and cuts is what it was told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.proxy import Proxy
from tests.service.sites import until

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
WORD = b"hello"
HEAR_S_MAX = 10.0


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """A server that says again what it hears, and where it is."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(65_536):
                writer.write(piece)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_it_forwards_both_ways() -> None:
    async with echo() as place:
        with Proxy(lambda: [place]) as proxy:
            assert await _said_back(await _connect(proxy)) == WORD
            assert proxy.dropped == 0


async def test_it_goes_to_the_first_target_that_takes_connections() -> None:
    async with echo() as place:
        with Proxy(lambda: ["127.0.0.1:1", place]) as proxy:
            assert await _said_back(await _connect(proxy)) == WORD


async def test_it_drops_what_old_connections_carry_and_counts_it() -> None:
    async with echo() as place:
        with Proxy(lambda: [place]) as proxy:
            old = await _connect(proxy)
            assert await _said_back(old) == WORD
            proxy.lose()
            old[1].write(WORD)
            await until(lambda: proxy.dropped == len(WORD), "what it lost is counted")
            assert await _said_back(await _connect(proxy)) == WORD
            assert not old[0].at_eof()


async def test_it_drops_answers_alone() -> None:
    async with echo() as place:
        with Proxy(lambda: [place]) as proxy:
            proxy.lose("to client", new_too=True)
            (await _connect(proxy))[1].write(WORD)
            await until(lambda: proxy.dropped == len(WORD), "the answer came as far as the proxy")
            proxy.heal()
            assert await _said_back(await _connect(proxy)) == WORD


async def test_it_cuts_all_there_are() -> None:
    async with echo() as place:
        with Proxy(lambda: [place]) as proxy:
            ends = [await _connect(proxy) for _ in range(3)]
            for each in ends:
                assert await _said_back(each) == WORD
            assert proxy.cut() == len(ends)
            for each in ends:
                await _is_reset(each)


async def test_it_cuts_before_an_answer_and_after_a_count() -> None:
    async with echo() as place:
        with Proxy(lambda: [place]) as proxy:
            proxy.cut_before(WORD)
            await _is_reset(await _connect(proxy), WORD)
            proxy.cut_after(2 * len(WORD))
            ends = await _connect(proxy)
            assert await _said_back(ends) == WORD
            await _is_reset(ends)
            assert proxy.cuts == 2
            assert await _said_back(await _connect(proxy)) == WORD


async def _connect(proxy: Proxy) -> Ends:
    host, _, port = proxy.address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def _said_back(ends: Ends) -> bytes:
    """What comes back of the word."""
    ends[1].write(WORD)
    return await asyncio.wait_for(ends[0].readexactly(len(WORD)), HEAR_S_MAX)


async def _is_reset(ends: Ends, say: bytes = b"") -> None:
    ends[1].write(say)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(ends[0].read(1), HEAR_S_MAX)
