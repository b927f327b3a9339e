"""CloudEvents 1.0 in JSON: what every message of the system looks like on the wire.

A message holds one event (`application/cloudevents+json`, what a person publishes by hand) or several of one type
(`application/cloudevents-batch+json`). Source: CloudEvents 1.0.2, JSON event format, sections 3 and 4.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from math import isinf
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from holdfast.delivery.words import Contract, Malformed, explain

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"

BODY_BYTES_MAX = 1024 * 1024
"""The largest message body that is read."""

EVENTS_MAX = 500
"""The most events in one batch that is read."""

VALUES_MAX = 50_000
"""The most commas and opening brackets in a body that is read: more than any batch needs, and few enough that reading
a body which is nothing else costs about as much as a full batch."""


class Envelope(Contract):
    """One event with its attributes.

    `id`: makes the message the same message when it is sent again. `source`: who announces it. `subject`: what it
    is about. `correlationid`: the saga. `causationid`: the message that led to this one. `traceparent`: W3C trace
    context. Only `specversion`, `id`, `source`, `type` and `data` are required.
    """

    specversion: Literal["1.0"]
    id: UUID
    source: Annotated[str, Field(min_length=1, max_length=200)]
    type: Annotated[str, Field(min_length=1, max_length=100)]
    subject: Annotated[str, Field(max_length=100)] | None = None
    time: AwareDatetime | None = None
    datacontenttype: Literal["application/json"] = "application/json"
    correlationid: Annotated[str, Field(max_length=100)] | None = None
    causationid: Annotated[str, Field(max_length=100)] | None = None
    traceparent: Annotated[str, Field(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")] | None = None
    data: dict[str, Any]


_ENVELOPES = TypeAdapter(list[Envelope])


def encode(envelopes: Sequence[Envelope]) -> tuple[str, bytes]:
    """The content type and body of one message with these events: single for one, a batch for several."""
    if len(envelopes) == 1:
        return SINGLE, envelopes[0].model_dump_json(exclude_none=True).encode()
    return BATCH, _ENVELOPES.dump_json(list(envelopes), exclude_none=True)


def parts(envelopes: Sequence[Envelope], bytes_max: int = BODY_BYTES_MAX) -> list[list[Envelope]]:
    """The envelopes in as few messages as can be read, in their order, each with a body of up to `bytes_max` bytes."""
    found: list[list[Envelope]] = []
    room = 0
    for envelope in envelopes:
        size = len(envelope.model_dump_json(exclude_none=True).encode()) + 1
        if not found or len(found[-1]) == EVENTS_MAX or size > room:
            found.append([])
            room = bytes_max - 2
        found[-1].append(envelope)
        room -= size
    return found


def pack(envelopes: Sequence[Envelope], bytes_max: int = BODY_BYTES_MAX) -> list[tuple[str, bytes]]:
    """Content type and body of as few messages as hold these events and can be read; see `encode` and `parts`."""
    found: list[list[bytes]] = []
    room = 0
    for envelope in envelopes:
        event = envelope.model_dump_json(exclude_none=True).encode()
        if not found or len(found[-1]) == EVENTS_MAX or len(event) + 1 > room:
            found.append([])
            room = bytes_max - 2
        found[-1].append(event)
        room -= len(event) + 1
    return [(SINGLE, each[0]) if len(each) == 1 else (BATCH, b"[" + b",".join(each) + b"]") for each in found]


def split(content_type: str | None, body: bytes) -> list[Any]:
    """The raw events in a message body. Raises `Malformed` if the message as a whole cannot be read."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type not in (SINGLE, BATCH):
        raise Malformed(f"content_type: {content_type!r}; send {SINGLE} (one event) or {BATCH} (a list of events)")
    content = parse(body)
    if media_type == SINGLE:
        return [content]
    if not isinstance(content, list):
        raise Malformed(f"body: a batch is a JSON list of events, not {type(content).__name__}")
    if len(content) > EVENTS_MAX:
        raise Malformed(f"body: {len(content)} events in one batch; send at most {EVENTS_MAX}")
    return content


def parse(body: bytes) -> Any:
    """The JSON in a body. Raises `Malformed` for what is no JSON, and for what JSON readers differ about.

    These are keys that are there twice in one object, and numbers beyond any that a double holds (RFC 8259, sections 4
    and 6): whoever forwards or logs such a message may see another one than its consumer. The first reading is strict
    and bounds depth and size of numbers. Where it left something out, a second one is shown keys and numbers as they
    are written.
    """
    if len(body) > BODY_BYTES_MAX:
        raise Malformed(f"body: {len(body)} bytes; send at most {BODY_BYTES_MAX}, in several messages")
    if sum(map(body.count, (b",", b"[", b"{"))) > VALUES_MAX:
        raise Malformed(f"body: more than {VALUES_MAX} commas and brackets; send fewer values, in several messages")
    try:
        content = from_json(body, allow_inf_nan=False)
        if not _says_the_same(to_json(content), body):
            _look_again(body.decode())
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed(f"body: not JSON: {error}") from None
    return content


def _says_the_same(written: bytes, body: bytes) -> bool:
    """Whether nothing was lost in reading, which costs less to see than to read again. False if it cannot be told.

    A key that was there twice has lost a colon, of its own or of its texts, and only an escape could make up for it; a
    number out of range has become a word.
    """
    return b"\\u" not in body and all(written.count(mark) == body.count(mark) for mark in (b":", b"Infinity"))


def _each_key_once(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise Malformed(f"body: the key {twice[:60]!r} is there twice in one object; send it once")


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise Malformed(f"body: the number {text[:60]} is out of range; send one that a double holds")
    return number


_look_again = json.JSONDecoder(object_pairs_hook=_each_key_once, parse_float=_finite, parse_int=float).decode


MAY_BE_SECRET = ("data", "subject", "correlationid")
"""Where a secret may stand: what was given there is not repeated."""


def read(content: Any) -> Envelope:
    """The envelope that one raw event holds. Raises `Malformed`, which names the field and the remedy."""
    try:
        return Envelope.model_validate(content)
    except ValidationError as error:
        raise Malformed(f"envelope: {explain(error, MAY_BE_SECRET)}") from None
