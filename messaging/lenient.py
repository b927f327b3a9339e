"""Reading AMQP properties that a stranger set, whatever they are.

pamqp raises for properties that it cannot decode (a time beyond the year 9999, text that is not UTF-8, tables nested
beyond the recursion limit), which ends the connection; the broker delivers the message again, and so on. A message
whose properties cannot be read is taken without them instead, and is then parked like any other that says not what it
is.
"""

from __future__ import annotations

import structlog
from pamqp import common, decode
from pamqp.base import BasicProperties

log = structlog.get_logger(__name__)

_read_properties = BasicProperties.unmarshal


def _properties(self: BasicProperties, flags: int, data: bytes) -> None:
    try:
        _read_properties(self, flags, data)
    except (ValueError, OverflowError, OSError, RecursionError, KeyError, IndexError, TypeError) as error:
        log.warning("unreadable properties", error=repr(error)[:200])
        for name in self.flags:
            setattr(self, name, None)


def _short_text(value: bytes) -> tuple[int, str]:
    length = common.Struct.byte.unpack(value[0:1])[0]
    return length + 1, value[1 : length + 1].decode("utf-8", "replace")


def read_whatever_comes() -> None:
    """Make this process read any properties. Doing it again changes nothing."""
    BasicProperties.unmarshal = _properties  # type: ignore[method-assign]
    decode.METHODS["shortstr"] = _short_text
