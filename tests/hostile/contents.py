"""Messages whose body is wrong."""

from __future__ import annotations

import gzip
import json
from random import Random
from typing import Any
from uuid import UUID

from contracts.topology import FACTS, SERVICES, SHOP
from holdfast.delivery.envelope import BATCH, BODY_BYTES_MAX, EVENTS_MAX, SINGLE
from holdfast.delivery.names import MESSAGE_BYTES_MAX
from holdfast.delivery.words import Service
from tests.hostile.message import Fate, HostileMessage, command, healthy, make
from tests.hostile.texts import bad_json, bad_text, huge_number, spoiled


def of_bytes(random: Random) -> HostileMessage:
    user, key, sent = command(random)
    why, body = bad_text(random, sent)
    return make(why, "parked", user, key, body, content_type=random.choice((SINGLE, BATCH)))


def of_json(random: Random) -> HostileMessage:
    user, key, sent = command(random)
    why, body = bad_json(random, sent)
    return make(why, "parked", user, key, body)


def of_spoiled(random: Random) -> HostileMessage:
    user, key, sent = command(random)
    why, body = spoiled(random, json.dumps(sent).encode())
    return make(why, "decided", user, key, body)


VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**53,
    10**30,
    10**308,
    10**310,
    10**400,
    -(10**400),
    1.5,
    -0.0,
    "",
    "1",
    "\0",
    "x\0y",
    "\u202e",
    "x" * 5000,
)
VALUES += ([], {}, [[]], [None] * 50, {"": {}}, {"\0": 1}, "2030-01-01T00:00:00Z", "🧨" * 40, "\x7f\x1b[2J", 1e308)


def of_field(random: Random) -> HostileMessage:
    """One field, of the envelope or its data, is something else or missing."""
    user, key, sent = command(random)
    part = random.choice((sent, sent["data"]))
    name = random.choice(sorted(part))
    if random.random() < 0.2:
        del part[name]
        return make(f"{name} is missing", "decided", user, key, sent)
    part[name] = random.choice(VALUES)
    return make(f"{name} is {part[name]!r}"[:60], "decided", user, key, sent)


def of_number(random: Random) -> HostileMessage:
    user, key, sent = command(random)
    why, body = huge_number(random, sent)
    return make(why, "parked", user, key, body)


def of_batch(random: Random) -> HostileMessage:
    user, key, sent = command(random)
    many = [{**sent, "id": str(UUID(int=random.getrandbits(128), version=4))} for _ in range(3)]
    cases: tuple[tuple[str, Fate, Any], ...] = (
        ("a single as a batch", "parked", sent),
        ("too many events", "parked", [sent] * (EVENTS_MAX + 1)),
        ("a batch with bad events among good ones", "decided", [many[0], {}, many[1], 7, [many[2]], None]),
        ("one id many times", "decided", [sent] * random.randint(2, 50)),
        ("one id for different things", "decided", [sent, {**sent, "data": {}}, {**sent, "source": "x"}]),
        ("a batch of batches", "decided", [many]),
        ("an empty batch", "decided", []),
    )
    why, fate, body = random.choice(cases)
    return make(why, fate, user, key, body, content_type=BATCH)


def of_ids(random: Random) -> HostileMessage:
    """Ids that are known already, or that mean something else."""
    user, key, sent = command(random)
    fact = FACTS[random.choice(sorted(FACTS))]
    event_id = str(fact.read(healthy(random, fact.type)["data"]).announcement_id)
    few = [str(UUID(int=number, version=4)) for number in range(20)]
    sent["id"] = random.choice((event_id, *few, str(UUID(int=0)), str(UUID(int=2**128 - 1))))
    if sent["correlationid"] in sent["data"].values():
        sagas = [name for name, value in sent["data"].items() if value == sent["correlationid"]]
        sent["data"][random.choice(sagas)] = random.choice(few)
    return make("forged or repeated ids", "decided", user, key, sent)


def of_peer(random: Random) -> HostileMessage:
    """A service that lost its mind, on its own exchange. What it says cannot be read: what can be read is its word."""
    service: Service = random.choice(SERVICES)
    taken = [name for name, fact in FACTS.items() if fact.exchange == SHOP.exchanges[service] and fact.consumers]
    name = random.choice(sorted(taken))
    why, body = random.choice((bad_text, bad_json, huge_number))(random, healthy(random, name))
    key = FACTS[name].bound_by(SHOP.exchanges[random.choice(FACTS[name].consumers)])
    return make(f"{service}: {why}", "parked", service, key, body, SHOP.exchanges[service])


def of_large(random: Random) -> HostileMessage:
    user, key, sent = command(random)
    size = random.choice((BODY_BYTES_MAX // 2, BODY_BYTES_MAX, BODY_BYTES_MAX + 1, MESSAGE_BYTES_MAX - 1000))
    start = json.dumps({**sent, "data": {}}).encode().removesuffix(b"}}")
    many = b",".join(b'"%d":0' % number for number in range(size // 9))
    bodies = (b"[" * size, start + b'"x":"' + b"y" * size, start + many, b"[" + b"{}," * (size // 3), b" " * size)
    body = random.choice(bodies)[: size - 20] + b"%020d" % random.randrange(10**9)
    if random.random() < 0.1:
        return make("more than the broker takes", "refused", user, key, b" " * (MESSAGE_BYTES_MAX + 1))
    return make(f"{len(body)} bytes", "parked", user, key, body)


def of_compressed(random: Random) -> HostileMessage:
    user, key, sent = command(random)
    if random.random() < 0.5:
        return make("says it is compressed", "parked", user, key, sent, content_encoding="gzip")
    body = gzip.compress(json.dumps(sent).encode(), mtime=0)
    return make("compressed", "parked", user, key, body, content_encoding="gzip")
