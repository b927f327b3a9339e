"""What a service shows over HTTP on a loopback port: /health, /metrics, /asyncapi and /asyncapi.json."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from uvicorn.protocols.http.h11_impl import H11Protocol

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Health = Callable[[], Awaitable[list[str]]]


CONNECTIONS_MAX, CONNECTION_S_MAX = 64, 10.0
"""Pages are short and local; who keeps connections open would take the service's own to broker and database."""


class _Brief(H11Protocol):
    """One of few connections, and not for long."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.abort()
        else:
            self.loop.call_later(CONNECTION_S_MAX, transport.abort)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the service's to handle."""
        yield


class Web:
    """The pages of one service. `health` gives its problems (none: healthy); `refresh` reads the gauges anew."""

    def __init__(
        self,
        host: str,
        port: int,
        health: Health,
        refresh: Callable[[], Awaitable[None]],
        registry: CollectorRegistry,
        asyncapi: dict[str, Any],
        asyncapi_page: str,
    ) -> None:
        self._health, self._refresh, self._registry = health, refresh, registry
        self._asyncapi, self._asyncapi_page = asyncapi, asyncapi_page
        self._socket = socket.create_server((host, port))
        self._server = _Server(
            uvicorn.Config(
                self._serve,
                interface="asgi3",
                http=_Brief,
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,
            )
        )

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._socket.getsockname()[1])

    async def run(self) -> None:
        """Serve until `stop`. Signals are the caller's to handle."""
        await self._server.serve([self._socket])

    def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, content_type, body = await self._page(str(scope.get("path")))
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _page(self, path: str) -> tuple[int, str, bytes]:
        match path:
            case "/health":
                problems = await self._health()
                body = json.dumps({"healthy": not problems, "problems": problems, "pid": os.getpid()}).encode()
                return 503 if problems else 200, "application/json", body
            case "/metrics":
                await self._refresh()
                return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)
            case "/asyncapi.json":
                return 200, "application/json", json.dumps(self._asyncapi).encode()
            case "/asyncapi" | "/":
                return 200, "text/html; charset=utf-8", self._asyncapi_page.encode()
            case _:
                return 404, "text/plain", b"pages: /health /metrics /asyncapi /asyncapi.json\n"
