"""Reading the worst body of a size takes about as much of a processor as reading a healthy batch of that size."""

from __future__ import annotations

import json
import time
from uuid import uuid4

import pytest

from contracts.topology import FACTS
from holdfast.delivery.envelope import BATCH, BODY_BYTES_MAX, EVENTS_MAX, SINGLE, VALUES_MAX
from holdfast.delivery.message import Message, Origin, Unreadable, decode

WORSE_MAX = 4.0
"""How often the time of a healthy batch: it takes some 30 ms for 1 MiB on one core."""
OUTER = {"specversion": "1.0", "id": str(uuid4()), "source": "/t", "type": "order.place"}
HEAD = json.dumps({**OUTER, "data": {}}).encode().removesuffix(b"}}")


def _cpu_s(body: bytes, content_type: str) -> float:
    """The least of some readings, so that what else the machine does counts for little."""
    origin = Origin("commands", "order.place", content_type)
    times = []
    for _ in range(5):
        began = time.process_time()
        decode(body, origin, FACTS)
        times.append(time.process_time() - began)
    return min(times)


def _filled(unit: bytes, times: int) -> bytes:
    """A message of at most the largest size, with a list of this in a field that nobody knows."""
    room = (BODY_BYTES_MAX - 1000) // (len(unit) + 1)
    return HEAD + b'"x":[' + b",".join([unit] * min(times, room)) + b"]}}"


@pytest.fixture(scope="module")
def healthy_s() -> float:
    """What a full batch of the largest size takes."""
    events = []
    for _ in range(EVENTS_MAX):
        after = [str(uuid4()) for _ in range(43)]
        data = {"order_id": str(uuid4()), "account_id": "ada", "item": "tea", "after": after}
        events.append({**OUTER, "id": str(uuid4()), "data": data})
    body = json.dumps(events).encode()
    assert 0.9 * BODY_BYTES_MAX < len(body) <= BODY_BYTES_MAX
    assert all(isinstance(each, Message) for each in decode(body, Origin("commands", "order.place", BATCH), FACTS))
    return _cpu_s(body, BATCH)


WIDE = VALUES_MAX - 100
BAD = {"specversion": [], "id": ["z" * 1900], "source": 7, "type": {}, "data": 0}
WORST: dict[str, tuple[bytes, str]] = {
    "empty objects": (_filled(b"{}", WIDE // 2), SINGLE),
    "objects": (_filled(b'{"a":1}', WIDE // 2), SINGLE),
    "empty lists": (_filled(b"[]", WIDE // 2), SINGLE),
    "nested objects": (_filled(b'{"a":' * 150 + b"1" + b"}" * 150, WIDE // 151), SINGLE),
    "nested lists": (_filled(b"[" * 150 + b"]" * 150, WIDE // 151), SINGLE),
    "zeros": (_filled(b"0", WIDE), SINGLE),
    "floats": (_filled(b"1.0", WIDE), SINGLE),
    "long floats": (_filled(b"0." + b"9" * 1000, WIDE), SINGLE),
    "huge numbers": (_filled(b"9" * 4300, WIDE), SINGLE),
    "long texts": (_filled(b'"' + b"x" * 10_000 + b'"', WIDE), SINGLE),
    "escapes": (_filled(b'"' + b"\\n" * 10_000 + b'"', WIDE), SINGLE),
    "keys": (HEAD + b",".join(b'"%x":0' % number for number in range(WIDE)) + b"}}", SINGLE),
    "long keys": (HEAD + b",".join(b'"%x":0' % 16**999 for _ in range(1000)) + b"}}", SINGLE),
    "keys twice at the end": (
        HEAD + b",".join(b'"%x":0' % (number % 49_000) for number in range(WIDE)) + b"}}",
        SINGLE,
    ),
    "wrong ids": (HEAD + b'"after":[' + b",".join([b'"x"'] * WIDE) + b"]}}", SINGLE),
    "an unknown kind": (
        json.dumps({**OUTER, "type": "promo.put", "data": {"effect": {"kind": "x" * 10**6}}}).encode(),
        SINGLE,
    ),
    "brackets": (b"[" * BODY_BYTES_MAX, SINGLE),
    "commas": (b"[" + b"{}," * (BODY_BYTES_MAX // 3 - 1) + b"{}]", BATCH),
    "spaces": (b" " * BODY_BYTES_MAX, SINGLE),
    "more than is read": (b"[" + b"{}," * (2 * BODY_BYTES_MAX // 3), BATCH),
    "a batch of wrong events": (json.dumps([BAD] * EVENTS_MAX).encode(), BATCH),
    "a batch of nothing": (json.dumps([None] * EVENTS_MAX).encode(), BATCH),
}


@pytest.mark.parametrize("name", WORST)
def test_it_is_refused_at_about_the_price_of_a_healthy_one(name: str, healthy_s: float) -> None:
    body, content_type = WORST[name]
    found = decode(body, Origin("commands", "order.place", content_type), FACTS)
    assert all(isinstance(each, Unreadable) and 0 < len(each.reason) < 1000 for each in found)
    assert _cpu_s(body, content_type) < WORSE_MAX * healthy_s


def test_a_body_of_too_many_values_says_so() -> None:
    for unit in (b"0", b"{}", b"[]"):
        body = HEAD + b'"x":[' + b",".join([unit] * (VALUES_MAX + 1)) + b"]}}"
        [found] = decode(body, Origin("commands", "order.place", SINGLE), FACTS)
        assert isinstance(found, Unreadable)
        assert found.reason == "body: more than 50000 commas and brackets; send fewer values, in several messages"
