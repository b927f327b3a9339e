"""A service that keeps its state in memory: the service's own handlers, and a model of its inbox, outbox and commits.

The model is held to the real delivery by `test_memory_is_as_the_database.py`: the same seed gives the same trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from contracts.base import Fact, Service
from messaging.domain import Handlers, Refused
from messaging.message import Announcement, Message, internal
from messaging.relay import TOGETHER_MAX
from tests.simulation.node import Delivery, Event, Parcel, Publish, Reached


class Tables(Protocol):
    """What a service keeps, with one transaction's view of it."""

    def load(self, messages: Sequence[Message]) -> Any:
        """The state that these messages touch, as the service's own `store.load` returns it."""

    def commit(self, state: Any) -> None:
        """Keep what changed."""

    def due(self, now: datetime) -> Sequence[Fact]:
        """Work whose time has come."""

    def next_due(self) -> datetime | None:
        """When work falls due next."""


class MemoryNode:
    """`parked`: what could not be handled, with the reason. `twice`: what the inbox knew, and was handled again."""

    def __init__(self, name: Service, handlers: Handlers[Any], tables: Tables) -> None:
        self.name: Service = name
        self.tables = tables
        self.parked: list[tuple[Fact, str]] = []
        self.twice: list[Fact] = []
        self._handlers = handlers
        self._handled: set[tuple[UUID, str]] = set()
        self._inbox: set[tuple[UUID, str]] = set()
        self._outbox: dict[int, Parcel] = {}
        self._held: list[int] = []
        self._announced = 0

    async def handle(self, batch: Sequence[Delivery], now: datetime, reached: Reached) -> None:
        reached("batch taken")
        fresh: dict[tuple[UUID, str], Message] = {}
        for delivery in batch:
            for event in delivery.parcel.events:
                key = (event.id, delivery.parcel.exchange)
                if not self._is_known(key) and key not in fresh:
                    fresh[key] = Message(event.id, event.id, event.fact)
        self._transact(list(fresh.values()), now, reached)
        self._inbox.update(fresh)
        self.twice += [message.fact for key, message in fresh.items() if key in self._handled]
        self._handled.update(fresh)
        reached("after commit")

    async def handle_due(self, now: datetime, reached: Reached) -> bool:
        due = [internal(fact) for fact in self.tables.due(now)]
        if not due:
            return False
        announced = self._announced
        self._transact(due, now, reached)
        reached("after commit")
        return self._announced > announced

    async def relay(self, publish: Publish, reached: Reached) -> bool:
        held = self._held[:TOGETHER_MAX]
        if held:
            reached("before publish")
            confirmed = [number for number in held if publish(self._outbox[number])]
            reached("after confirm")
            if confirmed:
                reached("before delete")
                for number in confirmed:
                    del self._outbox[number]
                self._held = [number for number in self._held if number in self._outbox]
                reached("after delete")
        return bool(self._held)

    async def restart(self) -> None:
        self._held = list(self._outbox)

    async def forget(self) -> None:
        self._inbox.clear()
        self._handled.clear()

    async def next_due(self) -> datetime | None:
        return self.tables.next_due()

    def _is_known(self, key: tuple[UUID, str]) -> bool:
        return key in self._inbox

    def _transact(self, messages: Sequence[Message], now: datetime, reached: Reached) -> None:
        """Decide and commit. Nothing is kept where the process dies before the commit."""
        announcements: list[Announcement] = []
        parked: list[tuple[Fact, str]] = []
        state = self.tables.load(messages) if messages else None
        for message in messages:
            try:
                announcements += self._handlers.handle(state, message, now)
            except Refused as error:
                parked.append((message.fact, str(error)))
        reached("before commit")
        if messages:
            self.tables.commit(state)
        self.parked += parked
        for parcel in _parcels(announcements):
            self._announced += 1
            self._outbox[self._announced] = parcel
            self._held.append(self._announced)


def _parcels(announcements: Sequence[Announcement]) -> list[Parcel]:
    """One message for each type; what is said twice is sent once."""
    by_type: dict[str, dict[UUID, Fact]] = {}
    said: set[UUID] = set()
    for each in announcements:
        message_id = each.id
        if message_id not in said:
            said.add(message_id)
            by_type.setdefault(each.fact.type, {})[message_id] = each.fact
    return [
        Parcel(next(iter(facts.values())).exchange, name, tuple(Event(key, fact) for key, fact in facts.items()))
        for name, facts in by_type.items()
    ]
