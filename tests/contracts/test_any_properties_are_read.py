"""The decoder of AMQP properties raises for none, and what it cannot read is as if it had not been sent."""

from __future__ import annotations

import struct

from pamqp import decode, encode
from pamqp.commands import Basic

from holdfast.delivery.rabbit.properties import read_whatever_comes

FLAGS = Basic.Properties.flags


def _read(flags: int, content: bytes) -> Basic.Properties:
    read_whatever_comes()
    properties = Basic.Properties()
    properties.unmarshal(flags, content)
    return properties


def test_readable_properties_are_read() -> None:
    read = _read(FLAGS["content_type"] | FLAGS["delivery_mode"], b"\x03a/b\x02")
    assert (read.content_type, read.delivery_mode) == ("a/b", 2)


def test_a_time_beyond_the_calendar_takes_the_others_with_it() -> None:
    read = _read(FLAGS["content_type"] | FLAGS["timestamp"], b"\x03a/b" + struct.pack(">Q", 10**17))
    assert (read.content_type, read.timestamp) == (None, None)


def test_a_delivery_mode_that_is_none_is_unreadable() -> None:
    """Some brokers let it pass, and aio_pika raises for it when the delivery has already been taken."""
    assert _read(FLAGS["delivery_mode"], b"\x07").delivery_mode is None


def test_text_that_is_not_utf_8_can_be_sent_on() -> None:
    read_whatever_comes()
    consumed, text = decode.METHODS["shortstr"](b"\xff" + b"\xfe" * 255)
    assert (consumed, text) == (256, "?" * 255)
    assert isinstance(text, str)
    assert len(encode.short_string(text)) == 256


def test_text_that_is_utf_8_stays() -> None:
    read_whatever_comes()
    sent = "\N{REPLACEMENT CHARACTER}é".encode()
    assert decode.METHODS["shortstr"](bytes([len(sent)]) + sent) == (len(sent) + 1, sent.decode())
