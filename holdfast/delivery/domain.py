"""What a service tells delivery about itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.delivery.message import Announcement, Message
from holdfast.delivery.queries import Query
from holdfast.delivery.tables import DeliveryTables
from holdfast.delivery.topology import Topology
from holdfast.delivery.words import Contract, Fact, Service

State = TypeVar("State")
Answerer = Callable[[AsyncConnection, Query], Awaitable[Contract | None]]


class Refused(Exception):
    """A message that contradicts what the service knows. It has no effect and is parked; the text says why."""


class Handlers(Protocol[State]):
    """How a service handles messages, one or five hundred at once.

    `load` reads and locks all that the messages touch, in one transaction with the rest. `handle` decides one message
    in memory and changes the state only if it returns. `save` keeps what changed. `due` names work whose time has come,
    as messages the service sends itself.
    """

    async def load(self, connection: AsyncConnection, messages: Sequence[Message], now: datetime) -> State: ...

    def handle(self, state: State, message: Message, now: datetime) -> Sequence[Announcement]: ...

    async def save(self, connection: AsyncConnection, state: State) -> None: ...

    async def due(self, connection: AsyncConnection) -> Sequence[Fact]: ...


@dataclass(frozen=True)
class Domain(Generic[State]):
    """A service: its name, the system it is part of, its version, its tables, how it handles what it takes, what it
    answers, and the figures it shows.

    `gauges` are read from the database on demand: name to value, with ages in seconds.
    """

    service: Service
    topology: Topology
    version: str
    tables: DeliveryTables
    handlers: Handlers[State]
    answers: Mapping[type[Query], Answerer]
    gauges: Callable[[AsyncConnection], Awaitable[Mapping[str, float]]]

    @property
    def facts(self) -> Mapping[str, type[Fact]]:
        """The commands and events that it takes, by type."""
        return self.topology.facts_for(self.service)
