"""A service that keeps its state in PostgreSQL: its own handlers, unit of work, inbox, outbox, relay and decoding.

Only the broker and the clock are simulated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.topology import FACTS
from holdfast.delivery import inbox
from holdfast.delivery.checkpoints import Checkpoint, Hook
from holdfast.delivery.consumer import Consumer
from holdfast.delivery.domain import Domain, Handlers
from holdfast.delivery.envelope import Envelope, encode
from holdfast.delivery.message import Announcement, Message, Origin, decode
from holdfast.delivery.names import DEAD_EXCHANGE
from holdfast.delivery.outbox import Left
from holdfast.delivery.relay import SWEEP_S, Relay
from holdfast.delivery.unit_of_work import UnitOfWork
from holdfast.delivery.words import Fact
from tests.simulation import guest
from tests.simulation.channel import Broker, Channel, Sent, Verdict
from tests.simulation.node import Delivery, Died, Event, Parcel, Publish, Reached
from tests.simulation.slot import Store
from tests.simulation.world import ROUTES


@dataclass(frozen=True, slots=True)
class Packet(Parcel):
    """A message with the bytes in which it travels."""

    content_type: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class _Handed:
    """A delivery, as far as the consumer reads it."""

    exchange: str
    routing_key: str
    content_type: str
    body: bytes
    redelivered: bool
    headers: dict[str, str] = field(default_factory=dict)
    content_encoding: str | None = None


class DatabaseNode:
    """`parked`: the dead letters, with the reason. `twice`: what the inbox knew, and was handled again."""

    def __init__(self, domain: Domain[Any], store: Store) -> None:
        self.name = domain.service
        self.parked: list[tuple[Fact, str]] = []
        self._store = store
        self._noting = _Noting(domain.handlers)
        self._domain = replace(domain, handlers=self._noting)
        self._reached: Reached = _nothing
        self._publish_to: Publish = _refuse
        self._publishing: asyncio.Task[None] | None = None
        self._turn_ends, self._goes_on = asyncio.Event(), asyncio.Event()
        self._sent_in_turn = False
        self._next_due: datetime | None = None
        self._begin(starts=False)

    @property
    def twice(self) -> list[Fact]:
        return self._noting.twice

    def _begin(self, starts: bool) -> None:
        """A new process. `starts`: it does not know yet what is in the outbox."""
        store, domain = self._store, self._domain
        self._noting.begin()
        self._starts = self._left_behind = starts
        self._relay = _Relay(self._take, store, domain, self._hook)
        relay = self._relay
        self._work = UnitOfWork(domain, store.engine, relay.hand_over, store.metrics, store.tracer, self._hook)
        self._consumer = Consumer(domain.facts, self._work.handle)

    async def handle(self, batch: Sequence[Delivery], now: datetime, reached: Reached) -> None:
        self._store.clock.now, self._reached = now, reached
        for each in batch:
            self._consumer.take(cast(AbstractIncomingMessage, _handed(each)))
        gathered, arrived = await self._consumer._gather()
        assert len(gathered) == len(batch), "more events than are handled together"
        await self._work.handle(arrived)

    async def handle_due(self, now: datetime, reached: Reached) -> bool:
        self._store.clock.now, self._reached = now, reached
        return await self._work.handle_due()

    async def relay(self, publish: Publish, now: datetime, reached: Reached) -> bool:
        self._store.clock.now, self._reached, self._publish_to = now, reached, publish
        self._sent_in_turn = False
        if self._starts:
            await self._sweep(0.0)
            self._starts = False
        elif self._publishing or self._relay._held:
            await self._go_on_publishing()
        elif self._left_behind:
            await self._sweep(SWEEP_S)
        if self._left_behind:
            self._left_behind = await self._store.has_outgoing()
        return self._left_behind or bool(self._publishing or self._relay._held)

    async def restart(self) -> None:
        await self.stop()
        self._begin(starts=True)

    async def stop(self) -> None:
        """End what is under way."""
        if self._publishing:
            self._publishing.cancel()
            await asyncio.gather(self._publishing, return_exceptions=True)
            self._publishing = None

    async def forget(self) -> None:
        async with self._store.engine.begin() as connection:
            await inbox.forget(connection, self._domain.tables, older_than_s=-1.0)
        self._noting.handled.clear()

    async def next_due(self) -> datetime | None:
        if self._noting.changed:
            self._noting.changed = False
            self._next_due = await self._store.next_due()
        return self._next_due

    async def _sweep(self, age_s: float) -> None:
        """As `Relay._sweep` does each time."""
        last: Left | None = None
        while page := await self._relay._sweep_page(age_s, last):
            last = page

    async def _go_on_publishing(self) -> None:
        """Publish until all is done or the relay has to connect again, which takes it some time."""
        self._turn_ends.clear()
        if self._publishing is None:
            self._publishing = asyncio.create_task(self._relay._relay_some())
            self._publishing.add_done_callback(lambda _: self._turn_ends.set())
        else:
            self._goes_on.set()
        await self._turn_ends.wait()
        if self._publishing.done():
            ended, self._publishing = self._publishing, None
            ended.result()

    async def _hook(self, checkpoint: Checkpoint) -> None:
        if checkpoint == "before publish":
            if self._publishing and self._sent_in_turn and self._relay._channel is None:
                self._goes_on.clear()
                self._turn_ends.set()
                await self._goes_on.wait()
            self._sent_in_turn = True
        if checkpoint == "after publish" and self._relay.death:
            raise self._relay.death
        self._reached(checkpoint)
        if checkpoint == "before commit":
            self._noting.committed()

    def _take(self, sent: Sent) -> Verdict:
        """What the broker makes of a message."""
        if sent.exchange == DEAD_EXCHANGE:
            origin = Origin(sent.headers["exchange"], sent.headers["routing_key"], sent.content_type)
            self.parked += [
                (each.fact, sent.headers["reason"])
                for each in decode(sent.body, origin, {**FACTS, **guest.FACTS})
                if isinstance(each, Message)
            ]
            return "confirmed"
        if sent.mandatory and (sent.exchange, sent.routing_key) not in ROUTES:
            self._left_behind = True
            return "unroutable"
        if self._publish_to(_packet(sent)):
            return "confirmed"
        self._left_behind = True
        return "lost"


class _Relay(Relay):
    """The relay, with a connection to the simulated broker."""

    def __init__(self, broker: Broker, store: Store, domain: Domain[Any], hook: Hook) -> None:
        super().__init__("", domain.service, domain.service, store.engine, domain.tables, hook)
        self._broker = broker

    @property
    def death(self) -> Died | None:
        """Where the process died in a publish."""
        return cast(Channel, self._channel).death if self._channel else None

    async def _open(self) -> AbstractChannel:
        if self._channel is None:
            self._channel = cast(AbstractChannel, Channel(self._broker))
        return self._channel


class _Noting:
    """The service's handlers; notes what is handled twice, and whether a commit may have changed anything."""

    def __init__(self, handlers: Handlers[Any]) -> None:
        self._handlers = handlers
        self._handling: list[Message] = []
        self.handled: set[UUID] = set()
        self.twice: list[Fact] = []
        self.changed = True

    def begin(self) -> None:
        """A new process: what the last one had loaded and not committed is not handled."""
        self._handling = []

    async def load(self, connection: AsyncConnection, messages: Sequence[Message], now: datetime) -> Any:
        self._handling = list(messages)
        return await self._handlers.load(connection, messages, now)

    def handle(self, state: Any, message: Message, now: datetime) -> Sequence[Announcement]:
        try:
            return self._handlers.handle(state, message, now)
        except Exception:
            # It is parked, which is not handled.
            self._handling = [each for each in self._handling if each is not message]
            raise

    async def save(self, connection: AsyncConnection, state: Any) -> None:
        await self._handlers.save(connection, state)

    async def due(self, connection: AsyncConnection) -> Sequence[Fact]:
        return await self._handlers.due(connection)

    def committed(self) -> None:
        """What was loaded last is handled."""
        self.changed |= bool(self._handling)
        self.twice += [each.fact for each in self._handling if each.key in self.handled]
        self.handled.update(each.key for each in self._handling)
        self._handling = []


def _handed(delivery: Delivery) -> _Handed:
    parcel = delivery.parcel
    if isinstance(parcel, Packet):
        content_type, body = parcel.content_type, parcel.body
    else:
        content_type, body = encode([_envelope(each) for each in parcel.events])
    return _Handed(parcel.exchange, parcel.routing_key, content_type, body, delivery.redelivered)


def _envelope(event: Event) -> Envelope:
    """As a client sends it."""
    fact = event.fact
    data = fact.model_dump(mode="json", exclude_none=True)
    return Envelope(specversion="1.0", id=event.id, source="/simulation", type=fact.type, data=data)


def _packet(sent: Sent) -> Packet:
    origin = Origin(sent.exchange, sent.routing_key, sent.content_type)
    contents = decode(sent.body, origin, FACTS)
    events = tuple(Event(each.id, each.fact) for each in contents if isinstance(each, Message))
    assert len(events) == len(contents), f"a service announced what nobody can read: {contents}"
    return Packet(sent.exchange, sent.routing_key, events, sent.content_type, sent.body)


def _nothing(_: Checkpoint) -> None:
    pass


def _refuse(_: Parcel) -> bool:
    raise AssertionError("published outside of a turn")
