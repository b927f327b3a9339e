"""One transaction for whatever has arrived: inbox, one load, decisions in memory, one save, outbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Generic, TypeVar
from uuid import UUID

import stamina
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from holdfast.delivery import inbox, outbox
from holdfast.delivery.checkpoints import Checkpoint, Hook
from holdfast.delivery.database import is_conflict, is_given_up, is_outage
from holdfast.delivery.domain import Domain, Refused, State
from holdfast.delivery.envelope import SINGLE, Envelope
from holdfast.delivery.message import Announcement, Message, Origin, Unreadable, internal, unreadable_key
from holdfast.delivery.metrics import Metrics
from holdfast.delivery.outbox import Outgoing
from holdfast.delivery.tracing import Tracer

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

CONFLICTS_MAX = 10
"""Times that other transactions may be in the way of one batch, before its messages are tried one by one."""
TURN_S = 0.002
"""How long messages are decided in a row, in seconds, before other work of the process has its turn."""
_again = partial(stamina.retry_context, attempts=None, timeout=None, wait_initial=0.02, wait_max=5.0, wait_jitter=0.1)
ATTEMPTS_ALONE = 3
"""Begun attempts after which a redelivered message is handled by itself."""
ATTEMPTS_MAX = 6
"""Begun attempts after which a message is parked: at each of them the service died before its commit, of it or not."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message, or what was unreadable, and its origin. `redelivered`: the broker had handed it out before."""

    content: Message | Unreadable
    origin: Origin
    redelivered: bool = False

    @property
    def came_again(self) -> bool:
        """Whether this very delivery was handed out before, so that a message parked meanwhile stays parked."""
        return self.redelivered and not self.origin.replayed


@dataclass
class _Done:
    """What a committed transaction leaves to be done."""

    messages: list[Outgoing] = field(default_factory=list)
    announced: list[tuple[Announcement, Message]] = field(default_factory=list)
    parked: list[tuple[str, str]] = field(default_factory=list)
    handled: list[Message] = field(default_factory=list)
    now: datetime | None = None


class UnitOfWork(Generic[State]):
    """Handles what arrived, exactly once as far as the database is concerned, and hands the rest to the relay."""

    def __init__(
        self,
        domain: Domain[State],
        engine: AsyncEngine,
        hand_over: Callable[[Sequence[Outgoing]], None],
        metrics: Metrics,
        tracer: Tracer,
        hook: Hook | None = None,
    ) -> None:
        self._domain, self._engine, self._hand_over = domain, engine, hand_over
        self._metrics, self._tracer, self._hook = metrics, tracer, hook
        self._waits: dict[object, str] = {}

    @property
    def problem(self) -> str | None:
        """What the database says to work that waits for it, or None if none does."""
        return next(iter(self._waits.values()), None)

    async def handle(self, arrived: Sequence[Arrived]) -> None:
        """Handle all of it and return once it is committed, however long an outage takes.

        A message that cannot be handled is parked in the dead-letter queue and holds up nothing else.
        """
        await self._reached("batch taken")
        suspects = await self._suspects(arrived)

        def is_suspect(each: Arrived) -> bool:
            return each.redelivered and isinstance(each.content, Message) and each.content.key in suspects

        for alone, some in groupby(arrived, is_suspect):
            if alone:
                for each in some:
                    await self._handle_alone(each)
            else:
                await self._handle_together(list(some))

    async def handle_due(self) -> bool:
        """Handle the work whose time has come. Returns False when nothing came of it: looking again can wait."""

        async def read() -> Sequence[Message]:
            async with self._engine.connect() as connection:
                return [internal(fact) for fact in await self._domain.handlers.due(connection)]

        due = await self._outlast(read)
        return bool(due) and await self._handle_together([Arrived(each, Origin("", "", None)) for each in due])

    async def _suspects(self, arrived: Sequence[Arrived]) -> set[UUID]:
        """The keys of redelivered messages that may have killed the service before. They keep their places: what
        came behind one may need what it does.
        """
        again = {each.content.key for each in arrived if each.redelivered and isinstance(each.content, Message)}
        return again - (await self._begin_attempt(list(again), below=ATTEMPTS_ALONE)).keys() if again else again

    async def _handle_alone(self, each: Arrived) -> None:
        """Handle a message that may be the one that kills the service. Its neighbours are not counted with it."""
        message = each.content
        assert isinstance(message, Message)
        attempts = (await self._begin_attempt([message.key]))[message.key]
        if attempts > ATTEMPTS_MAX and message.envelope:
            reason = f"begun {attempts - 1} times, and the service died each time"
            each = Arrived(_as_parked(message, message.envelope, reason), each.origin, each.redelivered)
        await self._handle_together([each])

    async def _begin_attempt(self, ids: Sequence[UUID], below: int | None = None) -> dict[UUID, int]:
        async def count() -> dict[UUID, int]:
            async with self._engine.begin() as connection:
                return await inbox.begin_attempt(connection, self._domain.tables, ids, below)

        return await self._outlast(count)

    async def _handle_together(self, arrived: Sequence[Arrived]) -> bool:
        """Handle these in one transaction, or in two halves if that fails. Returns whether anything was announced."""
        try:
            done = await self._outlast(lambda: self._transact(arrived), divisible=len(arrived) > 1)
        except Exception as error:
            if len(arrived) > 1:
                log.warning("batch failed, its halves are handled", messages=len(arrived), error=repr(error)[:300])
                middle = len(arrived) // 2
                return any([await self._handle_together(half) for half in (arrived[:middle], arrived[middle:])])
            content = arrived[0].content
            if isinstance(content, Unreadable):
                raise
            log.exception("message failed", type=content.fact.type, id=str(content.id))
            if content.envelope:
                reason = f"{type(error).__name__}: {str(error)[:300]}"
                await self._handle_together(
                    [replace(arrived[0], content=_as_parked(content, content.envelope, reason))]
                )
            return False
        self._hand_over(done.messages)
        self._report(done, len(arrived))
        await self._reached("after commit")
        return bool(done.announced)

    async def _transact(self, arrived: Sequence[Arrived]) -> _Done:
        domain, done = self._domain, _Done()
        async with self._engine.begin() as connection:
            fresh, now = await self._receive(connection, arrived)
            parked = [(each.content, each.origin) for each in fresh if isinstance(each.content, Unreadable)]
            messages = [(each.content, each.origin) for each in fresh if isinstance(each.content, Message)]
            if messages:
                state = await domain.handlers.load(connection, [message for message, _ in messages], now)
                turn_at = 0.0
                for message, origin in messages:
                    # Heartbeats and questions come between, however long the messages take.
                    if time.monotonic() - turn_at > TURN_S:
                        await asyncio.sleep(0)
                        turn_at = time.monotonic()
                    refused = self._decide(state, message, now, done)
                    if refused and message.envelope:
                        parked.append((_as_parked(message, message.envelope, refused), origin))
                await domain.handlers.save(connection, state)
            source = f"/holdfast/{domain.service}"
            done.messages = outbox.outgoing(done.announced, source, now, domain.topology.taken)
            done.messages += [outbox.dead_letter(domain.service, content, origin, now) for content, origin in parked]
            done.parked = [(content.reason, str(content.id)) for content, _ in parked]
            await inbox.park(connection, {each.key: each.reason for each, _ in parked})
            await outbox.keep(connection, domain.tables, done.messages)
            await self._reached("before commit")
        done.now = now
        return done

    async def _receive(self, connection: AsyncConnection, arrived: Sequence[Arrived]) -> tuple[list[Arrived], datetime]:
        """Note the messages in the inbox; returns those that are new, each once, and the database's time."""
        first = [each.content.key for each in arrived if each.origin.exchange and not each.came_again]
        again = [each.content.key for each in arrived if each.came_again]
        now, new = await inbox.receive(connection, first, parked_too=True)
        if again:
            new |= (await inbox.receive(connection, again, parked_too=False))[1]
        fresh = []
        for each in arrived:
            if not each.origin.exchange:
                fresh.append(each)
            elif each.content.key in new:
                new.discard(each.content.key)
                fresh.append(each)
        replayed = [each for each in fresh if each.origin.replayed and isinstance(each.content, Message)]
        if replayed:
            await inbox.unpark(connection, [unreadable_key(each.origin.exchange, each.content.id) for each in replayed])
        begun = [each.content.key for each in arrived if each.redelivered]
        if begun:
            await inbox.end_attempts(connection, begun)
        return fresh, now

    def _decide(self, state: State, message: Message, now: datetime, done: _Done) -> str | None:
        """Decide one message; returns the reason if it is to be parked instead."""
        try:
            with self._tracer.handling(message) as trace:
                announcements = self._domain.handlers.handle(state, message, now)
        except Refused as error:
            return str(error)
        except Exception as error:
            log.exception("handler failed", type=message.fact.type, id=str(message.id))
            return f"{type(error).__name__}: {str(error)[:300]}"
        done.handled.append(message)
        cause = message if trace is None else replace(message, trace=trace)
        done.announced += [(each, cause) for each in announcements]
        return None

    async def _outlast(self, work: Callable[[], Awaitable[Result]], divisible: bool = False) -> Result:
        """Do the work in spite of an outage, however long, and of some conflicts with other replicas.

        `divisible`: where the work itself may take too long, for the service or for the database, the error is raised,
        so that it is done in parts instead. In an outage that costs no more than smaller transactions afterwards.
        """
        conflicts, silences, began, this = 0, 0, 0.0, object()

        def passes(error: Exception) -> bool:
            nonlocal conflicts, silences
            conflicts += is_conflict(error)
            silences += isinstance(error, TimeoutError)
            if divisible and (silences > 1 or is_given_up(error, time.monotonic() - began)):
                return False
            if is_outage(error):
                said = f"{type(error).__name__}: {str(error)[:200]}"
                log.warning("database away, waiting", error=said)
                self._waits[this] = f"database: {said}"
                return True
            return is_conflict(error) and conflicts <= CONFLICTS_MAX

        try:
            try:  # Nearly all needs no second attempt, and does not pay for the preparation of more.
                began = time.monotonic()
                return await work()
            except Exception as error:
                if not passes(error):
                    raise
            async for attempt in _again(passes):
                began = time.monotonic()
                with attempt:
                    return await work()
        finally:
            self._waits.pop(this, None)
        raise AssertionError("unreachable")

    def _report(self, done: _Done, arrived: int) -> None:
        self._metrics.committed(done.handled, [each for each, _ in done.announced], len(done.parked), arrived, done.now)
        bound = log.bind()  # The proxy would bind anew for each line, also for those that are not written.
        for announcement, message in done.announced:
            fact = announcement.fact
            reason = getattr(fact, "reason", None)
            again = {"again": announcement.again} if announcement.again else {}
            write = bound.info if reason or again or not type(fact).consumers else bound.debug
            write(fact.type, saga=fact.saga, subject=fact.subject, cause=message.fact.type, reason=reason, **again)
        for reason, message_id in done.parked:
            log.warning("parked", id=message_id, reason=reason)

    async def _reached(self, checkpoint: Checkpoint) -> None:
        if self._hook:
            await self._hook(checkpoint)


def _as_parked(message: Message, envelope: Envelope, reason: str) -> Unreadable:
    return Unreadable(reason, SINGLE, envelope.model_dump_json(exclude_none=True).encode(), message.id, message.key)
