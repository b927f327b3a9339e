"""Dead letters: what no service could handle, why, and handing it back. Looking loses nothing. For operators."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from pydantic_core import from_json

from client.connection import OUTAGE, Connection
from client.errors import NotAllowed, Unreachable
from contracts.topology import FACTS, SERVICES, SHOP
from holdfast.delivery.names import DEATH_HEADER, REPLAY_EXCHANGE, UNROUTED_QUEUE, dead_queue

LETTERS_MAX = 200
"""Letters of each queue that are looked at; the rest come into view as these are replayed."""
REPLAY_S_MAX = 15.0
OPERATOR = "operator"
"""The broker user who alone may replay."""

QUEUES = {dead_queue(service): str(service) for service in SERVICES} | {UNROUTED_QUEUE: ""}


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter.

    `key`: names it as long as it lies there. `service`: who could not handle it, empty for a command that no service
    takes. `exchange` and `routing_key`: how it came. `at`: when it was parked, if known. `type`, `id` and `account`:
    what its content says, as far as it can be read.
    """

    key: str
    service: str
    reason: str
    exchange: str
    routing_key: str
    at: datetime | None
    type: str
    id: str
    account: str
    content_type: str
    body: bytes


@asynccontextmanager
async def looking(connection: Connection) -> AsyncIterator[list[tuple[Letter, AbstractIncomingMessage]]]:
    """The dead letters with their deliveries, held meanwhile; at the end what was not acknowledged goes back.

    Raises `Unreachable`, or `NotAllowed` for a user who is no operator.
    """
    channel = await connection.open_channel()
    try:
        found: list[tuple[Letter, AbstractIncomingMessage]] = []
        for name, service in QUEUES.items():
            queue = await channel.get_queue(name, ensure=False)
            for _ in range(LETTERS_MAX):
                message = await queue.get(no_ack=False, fail=False)
                if message is None:
                    break
                found.append((letter(service, message), message))
    except OUTAGE as error:
        if "ACCESS_REFUSED" in str(error):
            raise NotAllowed(f"broker user {connection.user!r} may not read dead letters: an operator may") from None
        raise Unreachable(f"the dead letters at {connection.place} cannot be read: {error}") from error
    try:
        yield found
    finally:
        await _put_back([delivery for _, delivery in found])
        await connection.drop(channel)


async def letters(connection: Connection) -> list[Letter]:
    """Up to `LETTERS_MAX` dead letters of each service, in the order of their queues."""
    async with looking(connection) as found:
        return [each for each, _ in found]


async def replay(connection: Connection, pick: Callable[[list[Letter]], list[Letter]]) -> list[Letter]:
    """Hand the letters that `pick` chooses back to the services that parked them, and take them off their queues.

    A command that no service took is sent as a command again. Returns what was handed back; a letter leaves its queue
    only after the broker has confirmed the new message. Raises `NotAllowed` for a type that still nobody takes.
    """
    async with looking(connection) as found:
        chosen = pick([each for each, _ in found])
        for each, delivery in found:
            if each in chosen:
                await _hand_back(connection, each)
                await delivery.ack()
    return chosen


async def _put_back(deliveries: Sequence[AbstractIncomingMessage]) -> None:
    """Give up what is not acknowledged, before the channel closes, so that the next look finds it there."""
    if deliveries:
        try:
            await deliveries[-1].channel.basic_nack(deliveries[-1].delivery_tag or 0, multiple=True, requeue=True)
        except OUTAGE:
            return


async def _hand_back(connection: Connection, each: Letter) -> None:
    message = aio_pika.Message(
        each.body,
        content_type=each.content_type,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=each.key,
        app_id="holdfast dead replay",
        headers={"exchange": each.exchange, "routing_key": each.routing_key},
    )
    exchange, key = (REPLAY_EXCHANGE, each.service) if each.service else ("commands", each.routing_key)
    try:
        await connection.publish(exchange, key, message, REPLAY_S_MAX)
    except NotAllowed:
        raise NotAllowed(f"dead letter {each.key}: no service takes type {each.routing_key!r}, so it stays") from None


def letter(service: str, message: AbstractIncomingMessage) -> Letter:
    """What a dead letter says, as far as it can be read."""
    headers: dict[str, Any] = dict(message.headers)
    death = _death(headers.get(DEATH_HEADER))
    parked = service != "" and message.user_id == service
    exchange, routing_key = _origin(service, message, death)
    content = _first_event(message.body)
    data = content.get("data")
    return Letter(
        key=message.message_id or hashlib.sha256(message.body).hexdigest()[:32],
        service=service,
        reason=_reason(service, headers if parked else {}, death, message),
        exchange=exchange,
        routing_key=routing_key,
        at=_time(headers.get("parked_at")) or _time(death.get("time")) or _time(message.timestamp),
        type=str(content.get("type", "")),
        id=str(content.get("id", "")),
        account=str(data.get("account_id", "")) if isinstance(data, dict) else "",
        content_type=message.content_type or "",
        body=message.body,
    )


def _death(deaths: object) -> dict[str, Any]:
    """Where and why the broker gave it up last, with every field as its type should be: a sender may have written it.

    One letter that could not be shown would hide all others.
    """
    latest = deaths[0] if isinstance(deaths, list) and deaths else None
    if not isinstance(latest, dict):
        return {}
    keys = latest.get("routing-keys")
    return {**latest, "routing-keys": keys if isinstance(keys, list) else []}


def _origin(service: str, message: AbstractIncomingMessage, death: dict[str, Any]) -> tuple[str, str]:
    """The exchange and routing key that the message came by first, as far as that is proven; else an empty key.

    A sender's headers, `x-death` among them, could name an origin that it has no right to, and the replay would give it
    to them. The broker vouches for `user_id` alone: so the service that parked it and the operator who replayed it are
    believed, a service that announced it owns its exchange, and of anybody else it can only be a client's command.
    """
    sender, headers = message.user_id or "", message.headers
    if not service:
        direct = message.exchange == "commands" and DEATH_HEADER not in headers
        return message.exchange or "", (message.routing_key or "") if direct else ""
    key = str((death.get("routing-keys") or [""])[0])
    if sender in (service, OPERATOR):
        return str(headers.get("exchange") or death.get("exchange") or ""), str(headers.get("routing_key") or key)
    exchange = next((own for name, own in SHOP.exchanges.items() if name == sender), "commands")
    may_be_sent = _is_of_clients(key) if exchange == "commands" else (exchange, key) in SHOP.taken
    return exchange, key if may_be_sent else ""


def _is_of_clients(key: str) -> bool:
    return key in FACTS and "client" in FACTS[key].audience


def _reason(service: str, headers: dict[str, Any], death: dict[str, Any], message: AbstractIncomingMessage) -> str:
    if "reason" in headers:
        return str(headers["reason"])
    if death:
        return f"given up by the broker: {death.get('reason', 'unknown')} in queue {death.get('queue', 'unknown')}"
    return "unknown" if service else f"type: no service takes {message.routing_key!r}"


def _first_event(body: bytes) -> dict[str, Any]:
    try:
        content = from_json(body)
    except ValueError:
        return {}
    if isinstance(content, list) and content:
        content = content[0]
    return content if isinstance(content, dict) else {}


def _time(value: object) -> datetime | None:
    """A time that a clock may have shown; others, at the ends of the calendar, have no local time to show."""
    try:
        read = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return read if 1970 < read.year < 9999 else None
