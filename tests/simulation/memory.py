"""A service that keeps its state in memory: the service's own handlers, and a model of its inbox, outbox and commits.

The model is held to the real delivery by `test_memory_is_as_the_database.py`: the same seed gives the same trace.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from contracts.commands import PutItem, PutPromo
from holdfast.delivery.domain import Handlers, Refused
from holdfast.delivery.message import Announcement, Message, inbox_key, internal
from holdfast.delivery.names import DEAD_EXCHANGE
from holdfast.delivery.unit_of_work import ATTEMPTS_ALONE, ATTEMPTS_MAX
from holdfast.delivery.words import Fact, Service
from tests.simulation.keeper import MemoryKeeper
from tests.simulation.node import Delivery, Event, Parcel, Publish, Reached
from tests.simulation.outbox import Outbox

Key = tuple[int, str]
"""By which the inbox knows a message: its id as a number, among those of its publisher, who owns the exchange."""


NO_DATABASE: Any = None


class Kept(Handlers[Any], Protocol):
    """A service's handlers, with all that they keep in memory."""

    keeper: MemoryKeeper

    def next_due(self) -> datetime | None:
        """When work falls due next."""


class MemoryNode:
    """`parked`: what could not be handled, with the reason. `twice`: what the inbox knew, and was handled again.
    `said`: all that was announced by what is committed.
    """

    def __init__(self, name: Service, handlers: Kept) -> None:
        self.name = name
        self.parked: list[tuple[Fact, str]] = []
        self.twice: list[Fact] = []
        self.said: list[Event] = []
        self._handlers = handlers
        self._handled: set[Key] = set()
        self._inbox: set[Key] = set()
        self._parked: set[Key] = set()
        self._attempts: dict[Key, int] = {}
        self._outbox = Outbox()

    async def handle(self, batch: Sequence[Delivery], now: datetime, reached: Reached) -> None:
        reached("batch taken")
        arrived = [
            _Arrived((event.id.int, each.parcel.exchange), event, each.redelivered)
            for each in batch
            for event in each.parcel.events
        ]
        again = {each.key for each in arrived if each.redelivered}
        suspects = {key for key in again if self._attempts.get(key, 0) >= ATTEMPTS_ALONE}
        self._begin(again - suspects)
        for suspect, some in groupby(arrived, lambda each: each.redelivered and each.key in suspects):
            if not suspect:
                await self._handle_together(list(some), now, reached)
                continue
            for each in some:
                self._begin({each.key})
                await self._handle_together([each], now, reached)

    async def handle_due(self, now: datetime, reached: Reached) -> bool:
        self._handlers.keeper.now = now
        due = [internal(fact) for fact in await self._handlers.due(NO_DATABASE)]
        if not due:
            return False
        announced = self._outbox.announced
        await self._transact(due, now, reached, [])
        reached("after commit")
        return self._outbox.announced > announced

    async def relay(self, publish: Publish, now: datetime, reached: Reached) -> bool:
        return self._outbox.relay(lambda each: each.exchange == DEAD_EXCHANGE or publish(each), now, reached)

    async def restart(self) -> None:
        self._outbox.restart()

    async def forget(self) -> None:
        self._inbox.clear()
        self._parked.clear()
        self._handled.clear()
        self._attempts.clear()

    async def next_due(self) -> datetime | None:
        return self._handlers.next_due()

    def _is_known(self, key: Key) -> bool:
        return key in self._inbox

    def _begin(self, keys: Collection[Key]) -> None:
        """Count one more attempt at messages that were begun before, and may have killed the process."""
        for key in keys:
            self._attempts[key] = self._attempts.get(key, 0) + 1

    async def _handle_together(self, arrived: Sequence[_Arrived], now: datetime, reached: Reached) -> None:
        fresh: dict[Key, Message] = {}
        for each in arrived:
            # What was parked is tried again where it comes once more, and not where it is only handed out again.
            if not self._is_known(each.key) or (each.key in self._parked and not each.redelivered):
                fresh.setdefault(each.key, Message(each.event.id, _inbox_key(each.event), each.event.fact))
        hopeless = [each for each in fresh if self._attempts.get(each, 0) > ATTEMPTS_MAX] if self._attempts else ()
        parked = [(fresh[key], "the service died each time") for key in hopeless]
        await self._transact([message for key, message in fresh.items() if key not in hopeless], now, reached, parked)
        self._inbox.update(fresh)
        self._parked -= fresh.keys()
        if parked:
            reasons = {message.id for message, _ in parked}
            self._parked |= {key for key, message in fresh.items() if message.id in reasons}
        handled = fresh.keys() - self._parked
        self.twice += [fresh[key].fact for key in handled & self._handled]
        self._handled |= handled
        for each in arrived:
            if each.redelivered:
                self._attempts.pop(each.key, None)
        reached("after commit")

    async def _transact(
        self, messages: Sequence[Message], now: datetime, reached: Reached, parked: list[tuple[Message, str]]
    ) -> None:
        """Decide and commit. Nothing is kept where the process dies before the commit. What is refused is added to what
        is `parked`.
        """
        announcements: list[Announcement] = []
        self._handlers.keeper.now = now
        state = await self._handlers.load(NO_DATABASE, messages, now) if messages else None
        for message in messages:
            try:
                announcements += self._handlers.handle(state, message, now)
            except Refused as error:
                parked.append((message, str(error)))
            except Exception as error:
                parked.append((message, repr(error)))
        reached("before commit")
        if messages:
            await self._handlers.save(NO_DATABASE, state)
        self.parked += [(message.fact, reason) for message, reason in parked]
        if announcements or parked:
            parcels = _parcels(announcements)
            self.said += [event for parcel in parcels for event in parcel.events]
            dead = [Parcel(DEAD_EXCHANGE, self.name, (Event(each.id, each.fact),)) for each, _ in parked]
            self._outbox.keep([*parcels, *dead], now)


def _inbox_key(event: Event) -> UUID:
    """By which the service knows the message, if it keeps that: it costs too much to tell it of each."""
    is_put = event.fact.type in PUTS
    return inbox_key(event.fact.exchange, event.id) if is_put else event.id


PUTS = (PutItem.type, PutPromo.type)


class _Arrived(NamedTuple):
    key: Key
    event: Event
    redelivered: bool


def _parcels(announcements: Sequence[Announcement]) -> list[Parcel]:
    """One message for each routing key; what is said twice is sent once."""
    by_key: dict[str, dict[UUID, Fact]] = {}
    said: set[UUID] = set()
    for each in announcements:
        message_id = each.id
        if message_id not in said:
            said.add(message_id)
            by_key.setdefault(each.fact.routing_key, {})[message_id] = each.fact
    return [
        Parcel(next(iter(facts.values())).exchange, name, tuple(Event(key, fact) for key, fact in facts.items()))
        for name, facts in by_key.items()
    ]
