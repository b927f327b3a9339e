"""Bytes that are no JSON, JSON that is no message, and properties that no library would send."""

from __future__ import annotations

import json
import struct
from random import Random
from typing import Any

from pamqp.commands import Basic

HUGE = (
    *(f"{sign}{number}" for sign in ("", "-") for number in ("1e400", "1E+309", "9.9e99999", f"1{'0' * 400}")),
    f"1{'0' * 310}",
    f"-1{'0' * 310}",
    f"1{'0' * 310}.0",
    f"1{'0' * 305}e5",
    f"1{'0' * 4299}",
)
"""Numbers, as they are written, that no double holds; the last is the longest integer that Python reads."""
ESCAPES = ("\\ud800", "\\udfff\\ud800", "\\u0000\\udc00", "\\x", "\\u12", "\\")


class Raw(Basic.Properties):
    """Properties that travel as these bytes, whatever they mean."""

    def __init__(self, flags: int, content: bytes) -> None:
        super().__init__()
        self.sent = struct.pack(">H", flags) + content

    def marshal(self) -> bytes:
        """The bytes as they were given."""
        return self.sent


def short_text(text: bytes) -> bytes:
    """A short string of AMQP."""
    return struct.pack("B", len(text)) + text


def nested(depth: int) -> bytes:
    """A table in a table, and so on."""
    entry = short_text(b"k") + b"V"
    for _ in range(depth):
        entry = short_text(b"k") + b"F" + struct.pack(">I", len(entry)) + entry
    return struct.pack(">I", len(entry)) + entry


def bad_text(random: Random, sent: dict[str, Any]) -> tuple[str, bytes]:
    """What is wrong, and a body that is no JSON text in UTF-8."""
    text = json.dumps(sent)
    mark = b"%d" % random.randrange(10**9)
    cases = (
        ("random bytes", b"\xfe" + random.randbytes(random.randint(0, 400))),
        ("empty", b""),
        ("white space", b" \t\r\n" * random.randint(1, 99)),
        ("a byte order mark", b"\xef\xbb\xbf" + text.encode()),
        ("UTF-16", text.encode("utf-16")),
        ("UTF-32", text.encode("utf-32-le")),
        ("Latin-1", text.replace('"specversion"', '"é"').encode("latin-1")),
        ("overlong UTF-8", text.encode().replace(b"hostile", b"\xc0\xafhostile").replace(b"/", b"\xc0\xaf") + b"\xc0"),
        ("a lone surrogate in UTF-8", b'"\xed\xa0\x80"' + mark),
        ("cut off", text.encode()[: random.randrange(len(text))]),
        ("brackets", random.choice((b"[", b'{"a":', b"[{},")) * random.choice((50, 5_000, 20_000)) + mark),
        ("more after the end", text.encode() + random.choice((b"}", b"{}", b",", b"\0", mark))),
        ("single quotes", text.replace('"', "'").encode()),
        ("a comment", b"/* " + mark + b" */" + text.encode()),
        ("XML", b"<order>" + mark + b"</order>"),
    )
    return random.choice(cases)


def huge_number(random: Random, sent: dict[str, Any]) -> tuple[str, bytes]:
    """What is wrong, and a message in which a field is a number that no double holds: one that is a number anyway, if
    its data has such fields.
    """
    data = sent["data"]
    holders = [data, *(each for each in data.values() if isinstance(each, dict))]
    numeric = [(each, name) for each in holders for name, value in each.items() if type(value) in (int, float)]
    holder, name = random.choice(numeric or [(each, name) for each in (sent, data) for name in sorted(each)])
    holder[name], raw = "@", random.choice(HUGE)
    return f"{name} is {raw}"[:60], json.dumps(sent).replace('"@"', raw).encode()


def bad_json(random: Random, sent: dict[str, Any]) -> tuple[str, bytes]:
    """What is wrong, and a body that JSON readers differ about or that is no message, though it looks like one."""
    whole = json.dumps({**sent, "data": {**sent["data"], "@": 0}})
    depth = random.choice((250, 5_000, 20_000))

    def with_value(raw: str) -> bytes:
        return whole.replace('"@": 0', f'"@": {raw}').encode()

    def twice(name: str, part: dict[str, Any]) -> bytes:
        text = f"{json.dumps(name)}: {json.dumps(part[name])}"
        return json.dumps(sent).replace(text, f"{text}, {text}", 1).encode()

    name, inner = random.choice(sorted(sent)), random.choice(sorted(sent["data"]))
    cases = (
        (f"{name} is there twice", twice(name, sent)),
        (f"{inner} is there twice in data", twice(inner, sent["data"])),
        ("a nested key is there twice", with_value('{"a": [{"b": 1, "b": 1}]}')),
        ("an escaped key is there twice", with_value('{"ab": 1, "\\u0061b": 1}')),
        (
            "not a number",
            with_value(random.choice(("NaN", "Infinity", "-Infinity", "nan", "+1", "01", ".5", "1.", "0x1"))),
        ),
        ("too long a number", with_value(random.choice(("", "-")) + "9" * random.choice((5_000, 50_000)))),
        ("half a character", with_value(f'"{random.choice(ESCAPES)}"')),
        ("a control character", with_value(f'"{chr(random.randrange(32))}"')),
        ("too deep a list", with_value("[" * depth + "]" * depth)),
        ("too deep an object", with_value('{"a":' * depth + "1" + "}" * depth)),
        ("a comma too many", with_value("[1,]")),
        ("no object", json.dumps(random.choice((None, True, 0, 1.5, "text", [], [sent], [[sent]]))).encode()),
        ("no envelope", json.dumps(sent["data"]).encode()),
        ("an envelope in an envelope", json.dumps({"data": sent}).encode()),
    )
    return random.choice(cases)


def spoiled(random: Random, body: bytes) -> tuple[str, bytes]:
    """What happened on the way, and what is left of the body."""
    spot, other = sorted(random.sample(range(len(body)), 2))
    cases = (
        ("bits are flipped", _flipped(random, body)),
        ("the end is missing", body[:spot]),
        ("the beginning is missing", body[spot:]),
        ("a part is missing", body[:spot] + body[other:]),
        ("a part is there twice", body[:other] + body[spot:]),
        ("a part is zeros", body[:spot] + bytes(other - spot) + body[other:]),
        ("bytes came in between", body[:spot] + random.randbytes(random.randint(1, 30)) + body[spot:]),
    )
    return random.choice(cases)


def _flipped(random: Random, body: bytes) -> bytes:
    spoiled_body = bytearray(body)
    for _ in range(random.randint(1, 4)):
        spoiled_body[random.randrange(len(body))] ^= 1 << random.randrange(8)
    return bytes(spoiled_body)
