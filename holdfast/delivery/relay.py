"""The relay: publishes what was announced, with confirms, and deletes it once the broker has it.

It has a connection and a channel of its own: a memory alarm blocks publishers and must not block consumers, and
whether an unroutable message is an error is a setting of the channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import aio_pika
import stamina
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, PublishError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from holdfast.delivery import outbox
from holdfast.delivery.checkpoints import Checkpoint, Hook
from holdfast.delivery.database import is_outage
from holdfast.delivery.held import Held
from holdfast.delivery.outbox import Left, Outgoing
from holdfast.delivery.settings import named
from holdfast.delivery.tables import DeliveryTables
from holdfast.tls import problem

log = structlog.get_logger(__name__)

TOGETHER_MAX = 100
CONFIRM_S_MAX = 15.0
SWEEP_S = 5.0
_WAIT_FOR_CONFIRMS = text("SET LOCAL idle_in_transaction_session_timeout = '30s'")
"""The broker may take longer to confirm than a transaction may otherwise stand still. Other sweeps pass over what is
locked meanwhile."""
ATTEMPTS_TOGETHER = 3
"""Attempts to publish messages together, before each is published by itself."""
_UNSENDABLE = (TypeError, ValueError, struct.error)
"""What comes of a message with a field that AMQP has no room for: its own fault, and not the connection's."""


class NotConfirmed(Exception):
    """Messages may have reached the broker, but it has not said so; sent again, they are the same messages."""


class Relay:
    """Publishes handed-over messages, and sweeps the outbox for those that a crash left behind.

    In their order, except for what the broker does not take at first: that follows when it does.
    """

    def __init__(
        self,
        url: str,
        name: str,
        user: str,
        engine: AsyncEngine,
        tables: DeliveryTables,
        hook: Hook | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url, self._name, self._user = url, name, user
        self._engine, self._tables, self._hook = engine, tables, hook
        self._at_once = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._held = Held()
        self._arrived, self._drained = asyncio.Event(), asyncio.Event()
        self._drained.set()
        self._tls, self._refused = tls, ""
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._unroutable = self._unsendable = self._silences = 0
        self._opening = asyncio.Lock()

    @property
    def problem(self) -> str | None:
        """Why the relay does not relay, or None if it does."""
        if any(task.done() for task in self._tasks) or not self._tasks:
            return "relay: not running"
        if self._channel is None or self._channel.is_closed:
            return f"relay: no connection to the broker{self._refused}"
        if self._silences > 1:
            return "relay: the broker does not confirm what is published; see the log"
        if self._unroutable:
            return "relay: a message has no queue bound to it; see the log"
        if self._unsendable:
            return "relay: a message does not fit into AMQP's fields; see the log"
        return None

    @property
    def jobs(self) -> list[asyncio.Task[None]]:
        """The tasks that relay and sweep."""
        return self._tasks

    def start(self) -> None:
        """Begin to relay, in the background."""
        self._tasks = [
            asyncio.create_task(self._relay(), name="relay"),
            asyncio.create_task(self._sweep(), name="sweep"),
        ]

    async def stop(self, drain_s: float = 3.0) -> None:
        """Publish what is held, for at most `drain_s` seconds, then stop. What is left is in the outbox."""
        if self._channel and not self._channel.is_closed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), drain_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._close()

    def hand_over(self, messages: Sequence[Outgoing]) -> None:
        """Take messages whose transaction is committed. Never waits."""
        self._held.add(messages)
        if self._held:
            self._drained.clear()
            self._arrived.set()

    async def _relay(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._held:
                await self._relay_some()
            self._drained.set()

    async def _relay_some(self) -> None:
        """Publish the first of what is held, and hold it no more."""
        together = self._held.first(TOGETHER_MAX)
        await self._until_done(together)
        self._held.drop(len(together))

    async def _until_done(self, messages: list[Outgoing]) -> None:
        """Publish and delete, waiting out whatever outage there is.

        Unroutable messages are left to the sweep, and so is what was not confirmed after some attempts, each by itself:
        a message that the broker refuses closes the channel for all that are published beside it.
        """
        left = messages
        confirmed: list[UUID] = []
        async for attempt in stamina.retry_context(
            _is_outage, attempts=None, timeout=None, wait_initial=0.1, wait_max=5.0
        ):
            with attempt:
                if attempt.num <= ATTEMPTS_TOGETHER:
                    done, left = await self._publish(left)
                    confirmed += done
                    if left:
                        raise NotConfirmed(f"{len(left)} messages were not confirmed")
                while left:
                    confirmed += (await self._publish(left[:1]))[0]
                    left = left[1:]
                await self._forget(confirmed)

    async def _forget(self, ids: Sequence[UUID]) -> None:
        if ids:
            await self._reached("before delete")
            async with self._at_once.connect() as connection:
                await outbox.forget(connection, ids)
            await self._reached("after delete")

    async def _reached(self, checkpoint: Checkpoint) -> None:
        if self._hook:
            await self._hook(checkpoint)

    async def _publish(self, messages: Sequence[Outgoing]) -> tuple[list[UUID], list[Outgoing]]:
        """Publish all at once; returns what was confirmed and what is to be published again."""
        if not messages:
            return [], []
        await self._reached("before publish")
        channel = await self._open()
        sending = [asyncio.create_task(self._publish_one(channel, each)) for each in messages]
        if self._hook:
            await _handed_over(channel)
            await self._hook("after publish")
        results = await asyncio.gather(*sending, return_exceptions=True)
        confirmed: list[UUID] = []
        again: list[Outgoing] = []
        for message, result in zip(messages, results, strict=True):
            if result is None:
                confirmed.append(message.id)
            elif isinstance(result, PublishError):
                self._unroutable += 1
                log.error("unroutable", exchange=message.exchange, routing_key=message.routing_key, id=str(message.id))
            elif isinstance(result, _UNSENDABLE):
                self._unsendable += 1
                log.error("unsendable", error=_brief(result), routing_key=message.routing_key, id=str(message.id))
            else:
                log.warning("publish failed", error=_brief(result), id=str(message.id))
                again.append(message)
        self._silences = 0 if confirmed else self._silences + bool(again)
        if again:
            await self._close()
        await self._reached("after confirm")
        return confirmed, again

    async def _publish_one(self, channel: AbstractChannel, message: Outgoing) -> None:
        exchange = await channel.get_exchange(message.exchange, ensure=False)
        await exchange.publish(
            aio_pika.Message(
                message.body,
                content_type=message.content_type,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                message_id=str(message.id),
                app_id=self._name,
                user_id=self._user,
                timestamp=datetime.now(UTC),
                headers=dict(message.headers),
            ),
            message.routing_key,
            mandatory=message.required,
            timeout=CONFIRM_S_MAX,
        )

    async def _open(self) -> AbstractChannel:
        async with self._opening:
            if self._channel and not self._channel.is_closed:
                return self._channel
            await self._close()
            self._connection = await self._connect()
            self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            return self._channel

    async def _connect(self) -> AbstractConnection:
        prefix = self._name.upper()
        try:
            url = named(self._url, f"{self._name} relay")
            connection = await aio_pika.connect(url, ssl_context=self._tls, timeout=10)
        except CONNECTION_EXCEPTIONS as error:
            reason = problem(error, f"{prefix}_AMQP_URL", f"{prefix}_TLS_CA_FILE")
            self._refused = f": {reason}" if reason else ""
            raise
        self._refused = ""
        return connection

    async def _close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection:
            try:
                await asyncio.wait_for(connection.close(), 5)
            except (Exception, asyncio.CancelledError) as error:
                log.debug("closing failed", error=_brief(error))

    async def _sweep(self) -> None:
        """Look for rows that nobody relays: at once when starting, later only for those that should be gone."""
        age_s = 0.0
        while True:
            try:
                await self._open()
                self._unroutable = self._unsendable = 0
                last: Left | None = None
                while page := await self._sweep_page(age_s, last):
                    last = page
                age_s = SWEEP_S
            except Exception as error:
                if not _is_outage(error):
                    raise
                log.warning("sweep waits", error=_brief(error))
            await asyncio.sleep(SWEEP_S)

    async def _sweep_page(self, age_s: float, last: Left | None) -> Left | None:
        """Publish the rows behind `last`, one by one where not confirmed together; returns the last of them."""
        async with self._engine.begin() as connection:
            rows = await outbox.left_behind(connection, self._tables, age_s, last, self._held.ids, TOGETHER_MAX)
            if not rows:
                return None
            log.info("outbox swept", messages=len(rows))
            await connection.execute(_WAIT_FOR_CONFIRMS)
            confirmed, again = await self._publish([row.message for row in rows])
            for each in again:
                await outbox.forget(connection, confirmed)
                confirmed = (await self._publish([each]))[0]
            await self._reached("before delete")
            await outbox.forget(connection, confirmed)
        await self._reached("after delete")
        return rows[-1]


async def _handed_over(channel: AbstractChannel) -> None:
    """Return once the broker has what is being published: it answers a request after what came before it."""
    await asyncio.sleep(0)
    await channel.set_qos(prefetch_count=0)


def _is_outage(error: BaseException) -> bool:
    return is_outage(error) or isinstance(error, (*CONNECTION_EXCEPTIONS, NotConfirmed))


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"
