"""A TCP proxy on loopback that behaves as badly as a network can: it cuts, delays, and loses bytes without a word."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Literal, Self

from provision.secrets import free_port

Direction = Literal["to server", "to client"]
BOTH: tuple[Direction, ...] = ("to server", "to client")

CONFIRM = b"\x00\x3c\x00\x50"
"""Basic.Ack, as the broker sends it to a publisher (AMQP 0-9-1, class 60, method 80): the message is safe."""
COMMITTED = b"COMMIT\x00"
"""PostgreSQL's answer to a commit (CommandComplete): what the transaction did is there to stay."""

CONNECT_S_MAX = 2.0


class _Link:
    """One client's connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.loses: frozenset[Direction] = frozenset()

    def cut(self) -> None:
        """End both sides with a reset, as a host that knows nothing of the connection does."""
        for writer in (self.client, self.server):
            link = writer.get_extra_info("socket")
            if link is not None and link.fileno() >= 0:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """Forwards `address` to the first of `targets()` (host:port) that takes connections.

    It works in a thread of its own, so that whoever tests may block.
    """

    def __init__(self, targets: Callable[[], Sequence[str]]) -> None:
        self._targets = targets
        self._port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._links: set[_Link] = set()
        self._loses_from_now: frozenset[Direction] = frozenset()
        self._cut_before: bytes | None = None
        self._bytes_left: int | None = None
        self.delay_s = 0.0
        """How long each piece is held back on its way."""
        self.cuts = 0
        """Connections that were cut because of what they carried."""
        self.dropped = 0
        """Bytes that were lost without an end."""

    @property
    def address(self) -> str:
        """Where clients connect, as host:port."""
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> int:
        """Reset every connection there is. Returns how many; new ones are welcome."""

        async def now() -> int:
            links = list(self._links)
            for link in links:
                link.cut()
            return len(links)

        return asyncio.run_coroutine_threadsafe(now(), self._loop).result(10)

    def lose(self, *directions: Direction, new_too: bool = False) -> None:
        """From now on lose what existing connections carry in these directions (none given: in both), without an end.

        `new_too`: new connections are taken, and lose the same until `heal`.
        """
        chosen = frozenset(directions or BOTH)

        async def now() -> None:
            for link in self._links:
                link.loses = chosen
            self._loses_from_now = chosen if new_too else frozenset()

        asyncio.run_coroutine_threadsafe(now(), self._loop).result(10)

    def heal(self) -> None:
        """New connections work; what was lost on old ones stays lost, so they stay as they are."""
        self._loses_from_now, self._cut_before, self._bytes_left, self.delay_s = frozenset(), None, None, 0.0

    def cut_before(self, answer: bytes) -> None:
        """Cut the next connection on which the server gives this answer, so that the client never gets it.

        An answer that is split between two pieces passes; the next will do.
        """
        self._cut_before = answer

    def cut_after(self, count: int) -> None:
        """Cut the connection that carries the last of the next `count` bytes, once these are forwarded."""
        self._bytes_left = count

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", self._port)

    async def _end(self) -> None:
        self._server.close()
        own = asyncio.current_task()
        while tasks := [task for task in asyncio.all_tasks() if task is not own]:
            for link in self._links:
                link.cut()
            await asyncio.wait(tasks, timeout=0.1)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = await self._connect()
        if far is None:
            writer.transport.abort()
            return
        link = _Link(writer, far[1])
        link.loses = self._loses_from_now
        self._links.add(link)
        try:
            await asyncio.gather(
                self._forward(link, reader, link.server, "to server"), self._forward(link, far[0], writer, "to client")
            )
        except OSError:
            pass
        finally:
            self._links.discard(link)
            link.cut()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for target in self._targets():
            host, _, port = target.rpartition(":")
            try:
                return await asyncio.wait_for(asyncio.open_connection(host, int(port)), CONNECT_S_MAX)
            except (OSError, TimeoutError):
                continue
        return None

    async def _forward(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        while piece := await reader.read(65_536):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if direction in link.loses:
                self.dropped += len(piece)
                continue
            if direction == "to client" and self._cut_before and self._cut_before in piece:
                self._cut_before = None
                self.cuts += 1
                raise ConnectionResetError
            await self._write(writer, piece)
        if direction not in link.loses:
            writer.write_eof()

    async def _write(self, writer: asyncio.StreamWriter, piece: bytes) -> None:
        if self._bytes_left is not None and len(piece) >= self._bytes_left:
            writer.write(piece[: self._bytes_left])
            await writer.drain()
            self._bytes_left = None
            self.cuts += 1
            raise ConnectionResetError
        if self._bytes_left is not None:
            self._bytes_left -= len(piece)
        writer.write(piece)
        await writer.drain()
