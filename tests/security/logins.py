"""AMQP logins of one site that try what they may not, and are told so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPError, ChannelAccessRefused, ChannelInvalidStateError

from local.parts import Parts
from local.site import Site
from provision.broker import add_client

TOGETHER = 8
ATTEMPT_S_MAX = 20.0
DONE, REFUSED = "done", "refused"

Attempt = Callable[[AbstractChannel], Awaitable[Any]]


@dataclass
class Login:
    """One user's connection, with channels that are opened anew when a refusal has closed them."""

    user: str
    connection: AbstractConnection
    free: list[AbstractChannel] = field(default_factory=list)

    async def attempt(self, what: Attempt) -> str:
        """`DONE`, `REFUSED` if the broker says so, or else what it said instead."""
        channel = self.free.pop() if self.free else await self.connection.channel()
        try:
            await asyncio.wait_for(what(channel), ATTEMPT_S_MAX)
        except ChannelAccessRefused:
            return REFUSED
        except (AMQPError, ChannelInvalidStateError) as error:
            return repr(error)
        self.free.append(channel)
        return DONE

    async def attempts(self, tried: Sequence[Attempt]) -> list[str]:
        """What came of each, in their order; several are under way at a time."""
        found = [""] * len(tried)
        left = iter(enumerate(tried))

        async def work() -> None:
            for number, what in left:
                found[number] = await self.attempt(what)

        await asyncio.gather(*(work() for _ in range(TOGETHER)))
        return found


@asynccontextmanager
async def login(url: str, user: str) -> AsyncIterator[Login]:
    """A connection of this user."""
    connection = await aiormq.connect(url)
    try:
        yield Login(user, connection)
    finally:
        await connection.close()


@asynccontextmanager
async def all_powerful(site: Site, parts: Parts) -> AsyncIterator[AbstractChannel]:
    """A channel that may do everything, to prepare what others try; its user is gone afterwards."""
    name, management = f"root-{uuid4().hex[:8]}", parts.broker.management
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    management.call("PUT", "users", name, body={"password": name, "tags": ""})
    management.call("PUT", "permissions", site.vhost, name, body=everything)
    try:
        async with login(url_of(site, parts, name, name), name) as opened:
            yield await opened.connection.channel()
    finally:
        management.call("DELETE", "users", name)


@asynccontextmanager
async def another_client(site: Site, parts: Parts) -> AsyncIterator[tuple[str, str]]:
    """One more client user: its name and URL."""
    name = f"shop-{uuid4().hex[:8]}"
    password = add_client(parts.broker.management, site.vhost, name)
    try:
        yield name, url_of(site, parts, name, password)
    finally:
        parts.broker.management.call("DELETE", "users", name)


def url_of(site: Site, parts: Parts, user: str, password: str, vhost: str | None = None) -> str:
    """Where a user with this password logs in."""
    return f"amqp://{user}:{password}@{parts.broker.address}/{quote(vhost or site.vhost, safe='')}"
