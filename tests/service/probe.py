"""Publishes to the services as anybody may, and hears what they announce and what they park."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID, uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from contracts.commands import OpenAccount, PlaceOrder, RedeemPromo
from contracts.events import AccountOpened, OrderFailed, PromoRefused
from contracts.topology import SERVICES, SHOP
from holdfast.delivery.envelope import SINGLE, Envelope, encode, split
from holdfast.delivery.names import QUERIES_EXCHANGE, REPLAY_EXCHANGE, REPLIES_EXCHANGE, UNROUTED_QUEUE, dead_queue
from holdfast.delivery.queries import EVERY_SERVICE_QUERIES, Query
from holdfast.delivery.words import Fact, Service
from local.site import Site

HEARD_S_MAX = 30.0


@dataclass(frozen=True)
class Parked:
    """A message in a dead-letter queue."""

    queue: str
    reason: str
    headers: dict[str, Any]
    content_type: str | None
    body: bytes


@dataclass
class Heard:
    """All that was announced and parked since the probe opened, in the order of arrival."""

    envelopes: list[Envelope] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)


class Probe:
    """One site's outside world. Messages are sent by the broker user who may: see `send`."""

    def __init__(self, site: Site) -> None:
        self.site, self.heard = site, Heard()
        self._connections: dict[str, AbstractConnection] = {}
        self._channels: dict[str, AbstractChannel] = {}
        self._replies: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        self._reply_to = f"reply.client.{uuid4()}"

    @classmethod
    @asynccontextmanager
    async def at(cls, site: Site) -> AsyncIterator[Self]:
        """Listening to everything at this site."""
        probe = cls(site)
        try:
            await probe._listen()
            yield probe
        finally:
            await probe.close()

    async def close(self) -> None:
        """Leave the broker."""
        for connection in self._connections.values():
            await connection.close()
        self._connections, self._channels = {}, {}

    async def channel(self, user: str) -> AbstractChannel:
        """A channel with confirms of this broker user."""
        known = self._channels.get(user)
        if known is None or known.is_closed:
            connection = await aio_pika.connect(self.site.amqp_url(user))
            self._connections[f"{user} {len(self._connections)}"] = connection
            known = self._channels[user] = await connection.channel(publisher_confirms=True, on_return_raises=True)
        return known

    async def publish(
        self,
        user: str,
        exchange: str,
        routing_key: str,
        body: bytes,
        content_type: str | None = SINGLE,
        **properties: Any,
    ) -> None:
        """Publish these bytes, confirmed and persistent. Raises where the broker refuses them or no queue is bound."""
        channel = await self.channel(user)
        message = aio_pika.Message(body, content_type=content_type, delivery_mode=2, **properties)
        target = await channel.get_exchange(exchange, ensure=False)
        await target.publish(message, routing_key, timeout=HEARD_S_MAX)

    async def send(self, *facts: Fact, id: UUID | None = None, trace: str | None = None) -> list[UUID]:  # noqa: A002
        """Publish facts of one type as one message, by the user who may. Returns the ids of their envelopes.

        A command comes from the operator, an event from the service that announces it.
        """
        envelopes = [envelope(fact, id or uuid4(), trace) for fact in facts]
        content_type, body = encode(envelopes)
        await self.publish(sender(facts[0]), facts[0].exchange, facts[0].routing_key, body, content_type)
        return [each.id for each in envelopes]

    async def replay(self, service: Service, parked: Parked) -> None:
        """Hand a dead letter back, as an operator does: with the exchange and routing key that it came by."""
        came_by = {name: parked.headers[name] for name in ("exchange", "routing_key")}
        await self.publish("operator", REPLAY_EXCHANGE, service, parked.body, parked.content_type, headers=came_by)

    def announced(self, kind: type[Fact], saga: UUID | str | None = None) -> list[Envelope]:
        """What was heard so far of this type, of this saga or of all, in the order of arrival."""
        found = [each for each in self.heard.envelopes if each.type == kind.type]
        return [each for each in found if saga is None or each.correlationid == str(saga)]

    async def hear(self, kind: type[Fact], saga: UUID | str, times: int = 1) -> dict[str, Any]:
        """The data of this event once it was announced, `times` times."""
        await self.wait(lambda: len(self.announced(kind, saga)) >= times, f"{times} {kind.type} of {saga}")
        return self.announced(kind, saga)[-1].data

    async def park(self, queue: str, holding: str, times: int = 1) -> Parked:
        """The dead letter of this queue whose reason or body holds the text, once it is there."""
        await self.wait(lambda: len(self.parked(queue, holding)) >= times, f"{times} in {queue} with {holding!r}")
        return self.parked(queue, holding)[-1]

    def parked(self, queue: str, holding: str = "") -> list[Parked]:
        """The dead letters seen so far."""
        return [
            each
            for each in self.heard.parked
            if each.queue == queue and (holding in each.reason or holding.encode() in each.body)
        ]

    async def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until what was heard fulfils the condition."""
        try:
            async with asyncio.timeout(HEARD_S_MAX), self.heard.changed:
                await self.heard.changed.wait_for(condition)
        except TimeoutError:
            heard = [(each.type, each.correlationid) for each in self.heard.envelopes[-30:]]
            dead = [(each.queue, each.reason) for each in self.heard.parked[-10:]]
            raise AssertionError(f"never heard {what}; heard {heard}, parked {dead}") from None

    async def fence(self, service: Service) -> None:
        """Return once the service has answered all that was sent to it before: it answers in the order of arrival."""
        mark = uuid4()
        match service:
            case "user_service":
                await self.send(OpenAccount(account_id=str(mark)))
                await self.hear(AccountOpened, mark)
            case "order_service":
                await self.send(PlaceOrder(order_id=mark, account_id="fence", item="no-such-item"))
                await self.hear(OrderFailed, mark)
            case "promo_service":
                await self.send(RedeemPromo(redemption_id=mark, account_id="fence", code="no-such-code"))
                await self.hear(PromoRefused, mark)

    async def ask(self, query: Query) -> dict[str, Any]:
        """The service's reply: {"answer": ...} or {"error": ...}."""
        key = f"{query.service}.{query.type}" if query.type in EVERY_SERVICE_QUERIES else query.type
        return await self.ask_raw(key, query.model_dump_json().encode())

    async def ask_raw(self, key: str, body: bytes) -> dict[str, Any]:
        """The reply to whatever is asked."""
        await self.question(key, body, self._reply_to, user_id="client")
        async with asyncio.timeout(HEARD_S_MAX):
            reply = await self._replies.get()
        decoded: dict[str, Any] = json.loads(reply.body)
        return decoded

    async def question(self, key: str, body: bytes, reply_to: str, **properties: Any) -> None:
        """Send a question without waiting for its answer."""
        await self.publish("client", QUERIES_EXCHANGE, key, body, "application/json", reply_to=reply_to, **properties)

    async def _listen(self) -> None:
        operator = await self.channel("operator")
        tap = await operator.declare_queue(f"tap.operator.{uuid4()}", exclusive=True)
        for exchange in SHOP.publishers:
            if exchange != "commands":
                await tap.bind(exchange, "#")
        await tap.consume(self._hear, no_ack=True)
        for queue in (*map(dead_queue, SERVICES), UNROUTED_QUEUE):
            dead = await operator.get_queue(queue, ensure=False)
            await dead.consume(self._hear_parked)
        client = await self.channel("client")
        replies = await client.declare_queue(self._reply_to, exclusive=True)
        await replies.bind(REPLIES_EXCHANGE, self._reply_to)
        await replies.consume(self._replies.put, no_ack=True)

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        # A service names itself in what it announces; what the probe says in a service's place does not.
        if message.exchange in SHOP.exchanges.values() and message.user_id:
            async with self.heard.changed:
                contents = split(message.content_type, message.body)
                self.heard.envelopes += [Envelope.model_validate(each) for each in contents]
                self.heard.changed.notify_all()

    async def _hear_parked(self, message: AbstractIncomingMessage) -> None:
        reason = str(message.headers.get("reason", ""))
        service = next((each for each in SERVICES if each == message.routing_key), None)
        queue = dead_queue(service) if service else UNROUTED_QUEUE
        async with self.heard.changed:
            self.heard.parked.append(Parked(queue, reason, dict(message.headers), message.content_type, message.body))
            self.heard.changed.notify_all()
        await message.ack()


def envelope(fact: Fact, id: UUID | None = None, trace: str | None = None) -> Envelope:  # noqa: A002
    """The envelope of a fact, as a person would fill it in."""
    data = fact.model_dump(mode="json", exclude_none=True)
    return Envelope(
        specversion="1.0",
        id=id or uuid4(),
        source="/probe",
        type=fact.type,
        correlationid=fact.saga,
        traceparent=trace,
        data=data,
    )


def sender(fact: Fact) -> str:
    """The broker user who may publish this fact."""
    return "operator" if fact.audience else next(each for each, own in SHOP.exchanges.items() if own == fact.exchange)
