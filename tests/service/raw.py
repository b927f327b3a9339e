"""Messages whose AMQP properties the client library cannot decode, and how they are sent."""

from __future__ import annotations

import struct

from aio_pika.abc import AbstractChannel
from pamqp.commands import Basic

from holdfast.delivery.envelope import SINGLE

CONTENT_TYPE, HEADERS, REPLY_TO, TIMESTAMP = (
    Basic.Properties.flags[name] for name in ("content_type", "headers", "reply_to", "timestamp")
)
DEPTH = 3000
"""Tables within tables: deeper than Python recurses, and still within one frame."""


def short(text: bytes) -> bytes:
    """Short text as it travels."""
    return struct.pack("B", len(text)) + text


def _deep() -> bytes:
    entry = short(b"k") + b"V"
    for _ in range(DEPTH):
        entry = short(b"k") + b"F" + struct.pack(">I", len(entry)) + entry
    return struct.pack(">I", len(entry)) + entry


TYPE = short(SINGLE.encode())
UNREADABLE: dict[str, tuple[int, bytes, bytes]] = {
    "a time beyond the year 9999": (CONTENT_TYPE | TIMESTAMP, TYPE, struct.pack(">Q", 10**17)),
    "a content type that is not UTF-8": (CONTENT_TYPE, short(b"\xff\xfe\xfd"), b""),
    "headers nested too deep": (CONTENT_TYPE | HEADERS, TYPE + _deep(), b""),
    "a header name that is not UTF-8": (
        CONTENT_TYPE | HEADERS,
        TYPE + struct.pack(">I", 3) + short(b"\xff") + b"V",
        b"",
    ),
}
"""Flags, and the bytes of the properties that come before and after `reply_to` in the frame."""


class Raw(Basic.Properties):
    """Properties that travel as these bytes, whatever they mean."""

    def __init__(self, flags: int, content: bytes) -> None:
        super().__init__()
        self.sent = struct.pack(">H", flags) + content

    def marshal(self) -> bytes:
        """The bytes as they were given."""
        return self.sent


async def publish_raw(channel: AbstractChannel, exchange: str, key: str, body: bytes, properties: Raw) -> None:
    """Publish with these properties, confirmed."""
    underlay = await channel.get_underlay_channel()
    await underlay.basic_publish(body, exchange=exchange, routing_key=key, properties=properties, mandatory=True)
