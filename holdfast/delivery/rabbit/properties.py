"""Reading AMQP properties that a stranger set, whatever they are: in services and in the client alike.

pamqp raises for properties that it cannot decode (a time beyond the year 9999, text that is not UTF-8, tables nested
beyond the recursion limit), which ends the connection; the broker delivers the message again, and so on. A message
whose properties cannot be read is taken without them instead, and is then parked or listed like any other that says not
what it is.
"""

from __future__ import annotations

import logging

from pamqp import common, decode
from pamqp.base import BasicProperties

log = logging.getLogger(__name__)

_read_properties = BasicProperties.unmarshal


def _properties(self: BasicProperties, flags: int, data: bytes) -> None:
    try:
        _read_properties(self, flags, data)
        _check(getattr(self, "delivery_mode", None))
    except (ValueError, OverflowError, OSError, RecursionError, KeyError, IndexError, TypeError) as error:
        log.warning("unreadable properties: %s", repr(error)[:200])
        for name in self.flags:
            setattr(self, name, None)


def _check(delivery_mode: int | None) -> None:
    """aio_pika raises for any other, where nobody can catch it: the delivery would be held and never seen."""
    if delivery_mode not in (None, 0, 1, 2):
        raise ValueError(f"delivery_mode: {delivery_mode}")


def _short_text(value: bytes) -> tuple[int, str]:
    """Text that is not UTF-8 gets no longer by being read: it may be sent on, and short text is at most 255 bytes."""
    length = common.Struct.byte.unpack(value[0:1])[0]
    sent = value[1 : length + 1]
    try:
        return length + 1, sent.decode()
    except UnicodeDecodeError:
        return length + 1, sent.decode("ascii", "replace").replace("\N{REPLACEMENT CHARACTER}", "?")


def read_whatever_comes() -> None:
    """Make this process read any properties. Doing it again changes nothing."""
    BasicProperties.unmarshal = _properties  # type: ignore[method-assign]
    decode.METHODS["shortstr"] = _short_text
