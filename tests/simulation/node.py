"""What the simulated world asks of a service, whether it keeps its state in memory or in a database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from holdfast.delivery.checkpoints import Checkpoint
from holdfast.delivery.words import Fact, Service


@dataclass(frozen=True, slots=True)
class Event:
    """One command or event. `id`: the message id that makes it the same when it is sent again."""

    id: UUID
    fact: Fact


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message on its way: events of one type, in the order of their announcement."""

    exchange: str
    routing_key: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that the broker hands out. `redelivered`: it had handed it out before."""

    parcel: Parcel
    redelivered: bool = False


class Died(BaseException):
    """The process is gone at this checkpoint; nothing catches it."""


Reached = Callable[[Checkpoint], None]
"""Told of each checkpoint; raises `Died` where the process ends."""

Publish = Callable[[Parcel], bool]
"""Hands a message to the broker. Returns whether the broker confirmed it; it may have taken it either way."""


class Node(Protocol):
    """One service. `now` is the time of its own clock. Methods raise `Died` where `reached` does."""

    name: Service

    async def handle(self, batch: Sequence[Delivery], now: datetime, reached: Reached) -> None:
        """Handle what arrived in one transaction; returns before it is acknowledged."""

    async def handle_due(self, now: datetime, reached: Reached) -> bool:
        """Handle the work whose time has come. Returns False when nothing came of it."""

    async def relay(self, publish: Publish, now: datetime, reached: Reached) -> bool:
        """Publish what was announced, and forget what was confirmed; where a confirm is lost, the rest is for the next
        time. Returns whether anything is left.
        """

    async def restart(self) -> None:
        """A new process: what was only in memory is gone, and the outbox is found again."""

    async def forget(self) -> None:
        """The inbox forgets all messages, as it does with those beyond its retention."""

    async def next_due(self) -> datetime | None:
        """When work falls due next, on the service's clock."""
