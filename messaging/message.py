"""What a delivery holds: messages a handler can take, or the reason why it holds none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from pydantic_core import to_json

from contracts.base import Fact, Malformed
from contracts.envelope import SINGLE, Envelope, read, split


@dataclass(frozen=True, slots=True)
class Message:
    """One command or event, as a handler takes it. `trace`: its W3C trace context, if any."""

    id: UUID
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", printable(self.reason))
        object.__setattr__(self, "content_type", printable(self.content_type))


@dataclass(frozen=True, slots=True)
class Announcement:
    """A fact to announce. `trace`: the context of its own saga, where that differs from that of the message handled.
    `began_at`: set when the fact ends a saga, to measure how long it took.
    """

    fact: Fact
    trace: str | None = None
    began_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a delivery came in. `replayed`: an operator handed it back, so its routing key says nothing of its type."""

    exchange: str
    routing_key: str
    content_type: str | None
    replayed: bool = False


def decode(body: bytes, origin: Origin, facts: Mapping[str, type[Fact]]) -> list[Message | Unreadable]:
    """The messages in a delivery. What cannot be read is returned with a reason that names the field and the remedy."""
    content_type = origin.content_type or ""
    try:
        contents = split(origin.content_type, body)
    except Malformed as error:
        return [Unreadable(str(error), content_type, body, _id_of(body))]
    return [_decode_one(content, origin, facts) for content in contents]


def _decode_one(content: Any, origin: Origin, facts: Mapping[str, type[Fact]]) -> Message | Unreadable:
    envelope: Envelope | None = None
    try:
        envelope = read(content)
        fact = facts.get(envelope.type)
        if fact is None:
            raise Malformed(f"type: {envelope.type!r} is not taken here; known types: {', '.join(sorted(facts))}")
        if not origin.replayed and (origin.exchange, origin.routing_key) != (fact.exchange, fact.type):
            raise Malformed(
                f"type: {envelope.type!r} came by exchange {origin.exchange!r}, routing key {origin.routing_key!r}; "
                f"publish it to exchange {fact.exchange!r} with routing key {fact.type!r}"
            )
        return Message(envelope.id, fact.read(envelope.data), envelope.traceparent, envelope)
    except Malformed as error:
        body = to_json(content)
        return Unreadable(str(error), SINGLE, body, envelope.id if envelope else _id_of(body))


def _id_of(body: bytes) -> UUID:
    """An id for what has none that can be read, the same each time."""
    return UUID(bytes=sha256(body).digest()[:16])


def announce(
    announcements: Sequence[tuple[Announcement, Message]], source: str, now: datetime
) -> dict[str, list[Envelope]]:
    """The envelopes of what was announced, by type, in the order of announcement; what is said twice is sent once."""
    by_type: dict[str, list[Envelope]] = {}
    once = {announcement.fact.announcement_id: (announcement, message) for announcement, message in announcements}
    for announcement, message in once.values():
        fact = announcement.fact
        envelope = Envelope(
            specversion="1.0",
            id=fact.announcement_id,
            source=source,
            type=fact.type,
            subject=fact.subject,
            time=now,
            correlationid=fact.saga,
            causationid=str(message.id),
            traceparent=announcement.trace or message.trace,
            data=fact.model_dump(mode="json", exclude_none=True),
        )
        by_type.setdefault(fact.type, []).append(envelope)
    return by_type


def internal(fact: Fact) -> Message:
    """A message that a service sends itself, such as a deadline that passed; it never travels."""
    return Message(uuid4(), fact)


def printable(text: str) -> str:
    """What a stranger sent, without characters that PostgreSQL cannot keep or a terminal would obey."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
