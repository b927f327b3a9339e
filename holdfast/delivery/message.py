"""What a delivery holds: messages a handler can take, or the reason why it holds none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4, uuid5

from pydantic_core import to_json

from holdfast.delivery.envelope import SINGLE, Envelope, read, split
from holdfast.delivery.words import Fact, Malformed


@dataclass(frozen=True, slots=True)
class Message:
    """One command or event, as a handler takes it. `key`: what the inbox knows it by. `trace`: its trace context."""

    id: UUID
    key: UUID
    fact: Fact
    trace: str | None = None
    envelope: Envelope | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A delivery, or one event of a batch, that no handler can take. `body`: what is parked of it."""

    reason: str
    content_type: str
    body: bytes
    id: UUID
    key: UUID

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", printable(self.reason))
        object.__setattr__(self, "content_type", printable(self.content_type))


@dataclass(frozen=True, slots=True)
class Announcement:
    """A fact to announce. `trace`: the context of its own saga, where that differs from that of the message handled.
    `began_at`: set when the fact ends a saga, to measure how long it took. `again`: how often it was announced before
    because no answer came.
    """

    fact: Fact
    trace: str | None = None
    began_at: datetime | None = None
    again: int = 0

    @property
    def id(self) -> UUID:
        """The message id. Said again for want of an answer it has another one: the inbox that it goes to may know the
        first, although the answer was lost.
        """
        first = self.fact.announcement_id
        return uuid5(first, f"again/{self.again}") if self.again else first


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a delivery came in first. `replayed`: an operator handed it back from the dead-letter queue."""

    exchange: str
    routing_key: str
    content_type: str | None
    replayed: bool = False
    content_encoding: str | None = None


def decode(body: bytes, origin: Origin, facts: Mapping[str, type[Fact]]) -> list[Message | Unreadable]:
    """The messages in a delivery. What cannot be read is returned with a reason that names the field and the remedy."""
    content_type = origin.content_type or ""
    try:
        if origin.content_encoding:
            raise Malformed(f"content_encoding: {origin.content_encoding!r}; send the body as it is, without one")
        contents = split(origin.content_type, body)
    except Malformed as error:
        content_id = _id_of(body)
        return [Unreadable(str(error), content_type, body, content_id, unreadable_key(origin.exchange, content_id))]
    return [_decode_one(content, origin, facts) for content in contents]


def _decode_one(content: Any, origin: Origin, facts: Mapping[str, type[Fact]]) -> Message | Unreadable:
    envelope: Envelope | None = None
    try:
        envelope = read(content)
        fact = facts.get(envelope.type)
        if fact is None:
            raise Malformed(f"type: {envelope.type!r} is not taken here; known types: {', '.join(sorted(facts))}")
        if origin.exchange != fact.exchange:
            raise _misrouted(origin, fact, _routing_key(fact, envelope))
        found = fact.read(envelope.data)
        if origin.routing_key != found.routing_key:
            raise _misrouted(origin, fact, found.routing_key)
        key = inbox_key(origin.exchange, envelope.id)
        return Message(envelope.id, key, found, envelope.traceparent, envelope)
    except Malformed as error:
        body = to_json(content)
        content_id = envelope.id if envelope else _id_of(body)
        return Unreadable(str(error), SINGLE, body, content_id, unreadable_key(origin.exchange, content_id))


def _routing_key(fact: type[Fact], envelope: Envelope) -> str:
    """By which it should have come, as far as that can be read."""
    try:
        return fact.read(envelope.data).routing_key
    except Malformed:
        return fact.type


def _misrouted(origin: Origin, fact: type[Fact], routing_key: str) -> Malformed:
    return Malformed(
        f"type: {fact.type!r} came by exchange {origin.exchange!r}, routing key {origin.routing_key!r}; "
        f"publish it to exchange {fact.exchange!r} with routing key {routing_key!r}"
    )


def inbox_key(exchange: str, message_id: UUID) -> UUID:
    """By which the inbox knows a message: an id counts only among those of its publisher, who owns the exchange.

    Without that, a client could send a command under the id of an event that is still to come, and so suppress it.
    """
    return uuid5(message_id, exchange)


def unreadable_key(exchange: str, message_id: UUID) -> UUID:
    """By which the inbox knows what could not be read: it does not stand for what is sent again, corrected, under its
    id.
    """
    return uuid5(inbox_key(exchange, message_id), "unreadable")


def _id_of(body: bytes) -> UUID:
    """An id for what has none that can be read, the same each time."""
    return UUID(bytes=sha256(body).digest()[:16])


def announce(
    announcements: Sequence[tuple[Announcement, Message]], source: str, now: datetime
) -> dict[str, list[Envelope]]:
    """The envelopes of what was announced, by routing key, in the order of announcement; what is said twice is sent
    once.
    """
    found: dict[str, list[Envelope]] = {}
    said: set[UUID] = set()
    for announcement, message in announcements:
        fact, message_id = announcement.fact, announcement.id
        if message_id in said:
            continue
        said.add(message_id)
        envelope = Envelope(
            specversion="1.0",
            id=message_id,
            source=source,
            type=fact.type,
            subject=fact.subject,
            time=now,
            correlationid=fact.saga,
            causationid=str(message.id),
            traceparent=announcement.trace or message.trace,
            data=fact.model_dump(mode="json", exclude_none=True),
        )
        found.setdefault(fact.routing_key, []).append(envelope)
    return found


def internal(fact: Fact) -> Message:
    """A message that a service sends itself, such as a deadline that passed; it never travels."""
    message_id = uuid4()
    return Message(message_id, message_id, fact)


def printable(text: str) -> str:
    """What a stranger sent, without characters that PostgreSQL cannot keep or a terminal would obey."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
