"""Running a service: its consumer, its relay, its clock, its answers and its pages, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from faststream.rabbit.annotations import RabbitMessage
from faststream.rabbit.prometheus import RabbitPrometheusMiddleware
from faststream.security import BaseSecurity
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.delivery import inbox, logs, outbox
from holdfast.delivery.answering import Answering
from holdfast.delivery.asyncapi import document, page
from holdfast.delivery.checkpoints import Hook
from holdfast.delivery.connection import CONNECT_S_MAX, RECONNECT_S, close_channels, connect, disconnect, is_consuming
from holdfast.delivery.consumer import PREFETCH, Consumer
from holdfast.delivery.database import READ_S_MAX, engine, is_outage
from holdfast.delivery.domain import Answerer, Domain, State
from holdfast.delivery.message import inbox_key, unreadable_key
from holdfast.delivery.metrics import Metrics
from holdfast.delivery.names import inbox_queue, queries_queue
from holdfast.delivery.queries import OutcomeView, Query, ShowOutcome, ShowStatus, StatusView
from holdfast.delivery.rabbit.properties import read_whatever_comes
from holdfast.delivery.relay import Relay
from holdfast.delivery.settings import ServiceSettings, named, read_settings
from holdfast.delivery.tracing import Tracer, tracer
from holdfast.delivery.unit_of_work import UnitOfWork
from holdfast.delivery.web import Web
from holdfast.delivery.words import Contract

Settings = TypeVar("Settings", bound=ServiceSettings)

log = structlog.get_logger(__name__)

CLOCK_S = 0.5
"""How often work whose time has come is looked for. Deadlines hold without it; this is how soon others hear of them."""
HOUSEKEEPING_S = 600.0
STOP_S = 7.0
"""After this, a stop no longer waits: nothing is lost by that, since the broker and the outbox have it all."""


class ServiceInstance(Generic[State]):
    """One process's worth of a service. `hook` is told of each checkpoint that delivery reaches."""

    def __init__(self, domain: Domain[State], settings: ServiceSettings, hook: Hook | None = None) -> None:
        read_whatever_comes()
        self.domain, self.settings = domain, settings
        name = str(domain.service)
        amqp_url, tls, ca_file = settings.amqp_url, settings.broker_tls, settings.tls_ca_file
        self.engine = engine(settings.database_url, name, ca_file)
        self.reader = engine(settings.database_url, f"{name} reader", ca_file, 2, READ_S_MAX).execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self.metrics = Metrics()
        self.tracer: Tracer = tracer(name)
        self.relay = Relay(amqp_url, name, settings.broker_user, self.engine, domain.tables, hook, tls)
        self.work = UnitOfWork(domain, self.engine, self.relay.hand_over, self.metrics, self.tracer, hook)
        self.consumer = Consumer(domain.facts, self.work.handle, hook)
        self._measured = RabbitPrometheusMiddleware(registry=self.metrics.registry, app_name=name)
        self.broker, self.questions = self._make_broker("consumer"), self._make_broker("questions")
        self._subscribe()
        asyncapi = document(domain.topology, domain.version, domain.service)
        self.web = Web(
            settings.http_host,
            settings.http_port,
            self.health,
            self.refresh,
            self.metrics.registry,
            asyncapi,
            page(domain.service, asyncapi),
        )
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        """Where the pages are."""
        return self.settings.http_url or f"http://{self.settings.http_host}:{self.web.port}"

    async def start(self) -> None:
        """Serve the pages and begin to work; waits in the background for a broker or database that is away."""
        self._tasks = [asyncio.create_task(self.web.run())]
        self.relay.start()
        self.consumer.start()
        self._tasks += [asyncio.create_task(connect(each)) for each in (self.broker, self.questions)]
        self._tasks += [asyncio.create_task(self._clock(), name="clock"), asyncio.create_task(self._housekeeping())]
        log.info("started", url=self.url, pid=os.getpid())

    async def stop(self) -> None:
        """Stop taking deliveries, finish what is at hand, publish what it announced. At most ten seconds."""
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks[1:], return_exceptions=True)
        await self.consumer.stop(within_s=3)
        await close_channels(self.broker)
        await self.relay.stop(drain_s=2)
        await asyncio.gather(disconnect(self.broker), disconnect(self.questions))
        self.web.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.engine.dispose()
        await self.reader.dispose()
        self.tracer.stop()
        log.info("stopped")

    def jobs(self) -> list[asyncio.Task[None]]:
        """The tasks that never end while the service works."""
        return [self._tasks[0], *self._tasks[3:], *self.consumer.jobs, *self.relay.jobs]

    async def problems(self) -> list[str]:
        """What keeps the service from working, as far as it knows without asking the database."""
        found = [problem for problem in (self.consumer.problem, self.relay.problem, self.work.problem) if problem]
        if not await is_consuming(self.broker):
            found.append("consumer: not consuming from the broker")
        if not await is_consuming(self.questions):
            found.append("questions: not consuming from the broker")
        ended = [task.exception() for task in self._tasks if task.done() and not task.cancelled()]
        found += [f"task failed: {error!r}" for error in ended if error]
        return found

    async def health(self) -> list[str]:
        """The same, and whether the database answers."""
        found = await self.problems()
        try:
            async with asyncio.timeout(3), self.reader.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception as error:
            found.append(f"database: {self.settings.no_tls(error, 'DATABASE_URL') or type(error).__name__}")
        return found

    async def refresh(self) -> None:
        """Read the figures that the database holds into the metrics; while it is away, they stay as last seen."""
        try:
            async with asyncio.timeout(3), self.reader.connect() as connection:
                rows, age_s = await outbox.backlog(connection, self.domain.tables)
                figures = await self.domain.gauges(connection)
        except Exception as error:
            if not is_outage(error):
                raise
            self.metrics.set_gauge("database_up", 0)
            return
        self.metrics.set_gauge("database_up", 1)
        self.metrics.set_gauge("outbox_rows", rows)
        self.metrics.set_gauge("outbox_oldest_seconds", age_s)
        for name, value in figures.items():
            self.metrics.set_gauge(name, value)

    def _make_broker(self, purpose: str) -> RabbitBroker:
        """A connection of its own for events, and one for questions.

        The broker blocks a connection that publishes, as answers do, while it has a memory alarm; and a queue of
        questions that is away with its node would keep the whole connection from being made again.
        """

        async def whole(message: RabbitMessage) -> RabbitMessage:
            return message

        name = self.domain.service
        return RabbitBroker(
            named(self.settings.amqp_url, f"{name} {purpose}"),
            security=BaseSecurity(ssl_context=tls) if (tls := self.settings.broker_tls) else None,
            fail_fast=False,
            reconnect_interval=RECONNECT_S,
            timeout=CONNECT_S_MAX,
            app_id=name,
            decoder=whole,
            apply_types=False,
            logger=None,
            middlewares=(self._measured,),
        )

    def _subscribe(self) -> None:
        name = self.domain.service
        own: dict[type[Query], Answerer] = {ShowStatus: self._status, ShowOutcome: self._outcome}
        answering = Answering(name, {**self.domain.answers, **own}, self.reader, self.settings.broker_user)

        @self.broker.subscriber(
            RabbitQueue(inbox_queue(name), declare=False),
            channel=Channel(prefetch_count=PREFETCH),
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
        )
        async def take(message: RabbitMessage) -> None:
            self.consumer.take(message.raw_message)

        @self.questions.subscriber(
            RabbitQueue(queries_queue(name), declare=False),
            channel=Channel(prefetch_count=20),
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
        )
        async def answer(message: RabbitMessage) -> None:
            await answering.take(message.raw_message)

    async def _clock(self) -> None:
        while True:
            pause_s = CLOCK_S / 10 if await self.work.handle_due() else CLOCK_S
            await asyncio.sleep(pause_s)

    async def _housekeeping(self) -> None:
        while True:
            try:
                more = await self._forget_some() == inbox.FORGET_MAX
            except Exception as error:
                more = False
                log.warning("housekeeping failed", error=repr(error)[:200])
            await asyncio.sleep(0 if more else HOUSEKEEPING_S)

    async def _forget_some(self) -> int:
        async with self.engine.begin() as connection:
            return await inbox.forget(connection, self.domain.tables, self.settings.inbox_retention_s)

    async def _status(self, connection: AsyncConnection, query: Query) -> Contract:
        rows, age_s = await outbox.backlog(connection, self.domain.tables)
        inbox_table = self.domain.tables.inbox
        parked = select(func.count()).select_from(inbox_table).where(inbox_table.c.parked_reason.is_not(None))
        problems = tuple(await self.problems())
        return StatusView(
            service=self.domain.service,
            instance=f"{socket.gethostname()}:{os.getpid()}",
            version=self.domain.version,
            url=self.url,
            healthy=not problems,
            problems=problems,
            outbox_rows=rows,
            outbox_oldest_s=age_s,
            parked=(await connection.execute(parked)).scalar_one(),
            gauges=dict(await self.domain.gauges(connection)),
        )

    async def _outcome(self, connection: AsyncConnection, query: Query) -> Contract:
        assert isinstance(query, ShowOutcome)
        keys = (key(self.domain.topology.commands, query.message_id) for key in (inbox_key, unreadable_key))
        taken, reason = await inbox.outcome(connection, self.domain.tables, *keys)
        return OutcomeView(outcome="parked" if reason else "handled" if taken else "unknown", reason=reason)


async def run(domain: Domain[State], settings: ServiceSettings, hook: Hook | None = None) -> None:
    """Run the service until SIGTERM or SIGINT, then drain."""
    logs.configure(domain.service, settings.log_level)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, told.set)
    instance = ServiceInstance(domain, settings, hook)
    await instance.start()
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait([waiting, *instance.jobs()], return_when=asyncio.FIRST_COMPLETED)
    failed = [job for job in instance.jobs() if job.done() and not job.cancelled() and job.exception()]
    for job in failed:
        log.error("a job failed, so the service ends", job=repr(job), exc_info=job.exception())
    log.info("stopping")
    await _stop(instance, exit_code=1 if failed else 0)
    if failed:
        raise SystemExit(1)


async def _stop(instance: ServiceInstance[State], exit_code: int) -> None:
    """Stop in time. Where a part of the system hangs, leave at once: it would hang the cancellation as well."""
    stopping = asyncio.create_task(instance.stop())
    await asyncio.wait([stopping], timeout=STOP_S)
    error = stopping.exception() if stopping.done() else None
    if error or not stopping.done():
        log.warning("left before all was put away; what is left is with the broker or in the outbox", error=repr(error))
        os._exit(exit_code)


def main(domain: Callable[[Settings], Domain[State]], settings: type[Settings]) -> None:
    """The entry point of a service: read its settings and run it. Exit code 2 for settings that cannot be."""
    read = read_settings(settings)
    try:
        asyncio.run(run(domain(read), read))
    except ValueError as error:
        sys.exit(f"{domain.__module__}: {error}")
