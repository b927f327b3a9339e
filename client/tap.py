"""All commands and events as they go by: a queue of one's own on the publishers' exchanges. For operators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from aio_pika.abc import AbstractIncomingMessage

from client.connection import OUTAGE, Connection
from client.errors import NotAllowed, Unreachable
from contracts.topology import FACTS, SHOP
from holdfast.delivery.envelope import Envelope, read, split
from holdfast.delivery.words import Fact, Malformed

LENGTH_MAX = 100_000
"""A tap that nobody reads loses its oldest messages instead of filling the broker."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A command or event that went by. `at_s`: the event loop's time when it arrived here, in seconds."""

    at_s: float
    envelope: Envelope
    fact: Fact


@asynccontextmanager
async def tap(connection: Connection) -> AsyncIterator[asyncio.Queue[Seen | None]]:
    """What is announced from now on, as it arrives; None once the connection is lost.

    Raises `Unreachable`, or `NotAllowed` for a user who is no operator.
    """
    seen: asyncio.Queue[Seen | None] = asyncio.Queue()

    async def take(message: AbstractIncomingMessage) -> None:
        for each in _read(message, asyncio.get_running_loop().time()):
            seen.put_nowait(each)

    channel = await connection.open_channel()
    try:
        queue = await channel.declare_queue(
            f"tap.{connection.user}.{uuid4()}",
            exclusive=True,
            auto_delete=True,
            durable=False,
            arguments={"x-max-length": LENGTH_MAX},
        )
        for name in SHOP.publishers:
            await queue.bind(await channel.get_exchange(name, ensure=False), "#")
        await queue.consume(take, no_ack=True)
    except OUTAGE as error:
        if "ACCESS_REFUSED" in str(error):
            raise NotAllowed(f"broker user {connection.user!r} may not watch: an operator may") from None
        raise Unreachable(f"the broker at {connection.place} was lost") from error
    channel.close_callbacks.add(lambda *_: seen.put_nowait(None))
    try:
        yield seen
    finally:
        await connection.drop(channel)


class Follower:
    """Tells which messages belong to one account, those included that name only its order. None: all belong."""

    def __init__(self, account_id: str | None) -> None:
        self._account_id = account_id
        self._sagas: set[str] = set()

    def account_of(self, seen: Seen) -> str | None:
        """The account, if the message is one of those that are followed."""
        account_id: str | None = getattr(seen.fact, "account_id", None)
        if self._account_id is None:
            return account_id or "-"
        if account_id == self._account_id:
            self._sagas.add(seen.fact.saga)
            return account_id
        return self._account_id if account_id is None and seen.fact.saga in self._sagas else None


def _read(message: AbstractIncomingMessage, at_s: float) -> list[Seen]:
    """The readable part of a message; what no service could read either is left to the dead letters."""
    found = []
    try:
        contents = split(message.content_type, message.body)
    except Malformed:
        return []
    for content in contents:
        try:
            envelope = read(content)
            found.append(Seen(at_s, envelope, FACTS[envelope.type].read(envelope.data)))
        except (Malformed, KeyError):
            continue
    return found
