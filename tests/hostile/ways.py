"""Messages that come another way than they should, with properties that they should not have, and questions."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

from pamqp.commands import Basic

from contracts.topology import FACTS, QUERIES, SERVICES
from holdfast.delivery.envelope import SINGLE
from holdfast.delivery.names import QUERIES_EXCHANGE, REPLAY_EXCHANGE
from holdfast.delivery.words import Service
from tests.hostile.message import Fate, HostileMessage, command, healthy, make
from tests.hostile.texts import HUGE, Raw, nested, short_text

REPLY_TO = "reply.client.hostile"
"""Where questions want their answers. Nobody needs to listen there."""


def of_way(random: Random) -> HostileMessage:
    user, key, sent = command(random)
    same_user = [name for name, fact in FACTS.items() if user in fact.audience and name != key]
    event = random.choice(sorted(name for name, fact in FACTS.items() if fact.exchange != "commands"))
    admin = {"user_id": "admin"}
    cases: tuple[tuple[str, Fate, str, Any, str, dict[str, Any]], ...] = (
        ("another command's key", "parked", random.choice(sorted(same_user)), sent, "commands", {}),
        ("an event as a command", "parked", key, healthy(random, event), "commands", {}),
        ("a newer version", "unrouted", f"{key}.v2", {**sent, "type": f"{key}.v2"}, "commands", {}),
        ("another service's exchange", "refused", key, sent, random.choice(("user", "order", "promo")), {}),
        ("straight to a queue", "refused", random.choice(SERVICES), sent, "", {}),
        ("into the dead letters", "refused", random.choice(SERVICES), sent, "dead", {}),
        ("a forged sender", "refused", key, sent, "commands", admin),
    )
    why, fate, routing_key, body, exchange, properties = random.choice(cases)
    return make(why, fate, user, routing_key, body, exchange, **properties)


def of_properties(random: Random) -> HostileMessage:
    user, key, sent = command(random)
    others = [name for name, fact in FACTS.items() if fact.exchange == "commands" and name != key]
    text = random.choice(("", "\0", "text/plain", "application/json", "x" * 200, "é" * 100, f"{SINGLE} x"))
    cases: tuple[tuple[str, Fate, dict[str, Any]], ...] = (
        (f"content type {text!r}"[:60], "parked", {"content_type": text}),
        ("no content type", "parked", {"content_type": None}),
        ("priority and a foreign id", "decided", {"priority": 255, "message_id": "\0" * 200, "app_id": "\x1b[2J"}),
        ("not durable", "decided", {"delivery_mode": 1}),
        ("expires soon", "expires", {"expiration": str(random.choice((0, 1, 50)))}),
        ("a time long ago", "decided", {"timestamp": datetime(1970, 1, 1, tzinfo=UTC)}),
        ("a trace of its own", "decided", {"headers": {"traceparent": "\0", "baggage": "x" * 5000}}),
        ("copies to other queues", "decided", {"headers": {"CC": others, "BCC": ["#", "*.*"]}}),
        ("broker's own headers", "parked", {"headers": {"x-death": [{"count": 99}], "x-delivery-count": 10**9}}),
        (
            "nested headers",
            "decided",
            {"headers": {"reason": [{"a": [{}, bytearray(b"\xff"), None, 1.5]}], "exchange": {"a": 1}}},
        ),
        ("wants a reply", "decided", {"reply_to": random.choice(SERVICES), "correlation_id": "\0"}),
    )
    why, fate, properties = random.choice(cases)
    return make(why, fate, user, key, sent, **properties)


def of_unreadable(random: Random) -> HostileMessage:
    """Properties that no library may send, as bytes."""
    user, key, sent = command(random)
    flags = Basic.Properties.flags
    content_type = short_text(SINGLE.encode())
    cases: tuple[tuple[str, int, bytes], ...] = (
        ("a time beyond the year 9999", flags["timestamp"], struct.pack(">Q", 10**17)),
        ("headers nested too deep", flags["headers"], nested(3000)),
        ("a header name that is not UTF-8", flags["headers"], struct.pack(">I", 3) + short_text(b"\xff") + b"V"),
    )
    why, flag, content = random.choice(cases)
    raw = Raw(flags["content_type"] | flag, content_type + content)
    return HostileMessage(why, "parked", user, "commands", key, json.dumps(sent).encode(), raw)


def of_question(random: Random) -> HostileMessage:
    name = random.choice(sorted(name for name, query in QUERIES.items() if "client" in query.audience))
    bad = random.choice((b"{", b"\xff", b"[]", b"NaN", b"[" * 5000, b'{"account_id": "\\ud800"}', b'{"a": 1, "a": 1}'))
    huge = random.choice(HUGE).encode()
    ids = dict.fromkeys(("order_id", "redemption_id", "operation_id"), str(UUID(int=7)))
    good = json.dumps({"account_id": "nobody", "item": "nothing", **ids})
    asked = {"content_type": "application/json", "user_id": "client", "delivery_mode": 1, "expiration": "30000"}
    mine = {**asked, "reply_to": REPLY_TO, "correlation_id": str(random.random())}
    cases: tuple[tuple[str, Fate, str, bytes, dict[str, Any]], ...] = (
        ("a question that is no JSON", "answered", name, bad, mine),
        (
            "a question of a wrong type",
            "answered",
            name,
            b'{"account_id": 7, "order_id": [], "item": {}, "limit": 1e400}',
            mine,
        ),
        ("a question for too many", "answered", "account.history", b'{"account_id": "x", "limit": %b}' % huge, mine),
        ("a question without a sender", "ignored", name, good.encode(), {**mine, "user_id": None}),
        ("a question without a reply queue", "ignored", name, good.encode(), asked),
        ("a reply to somebody else", "ignored", name, good.encode(), {**mine, "reply_to": "reply.operator.x"}),
        ("a question in another's name", "refused", name, good.encode(), {**mine, "user_id": "operator"}),
        ("a very large question", "answered", name, b'{"x": "' + b"y" * 300_000 + b'"', mine),
    )
    why, fate, key, body, properties = random.choice(cases)
    return make(why, fate, "client", key, body, QUERIES_EXCHANGE, **properties)


def of_replay(random: Random) -> HostileMessage:
    """What an operator hands back by hand, and wrongly."""
    _, _, sent = command(random)
    service: Service = random.choice(SERVICES)
    marks = ("", "\0", "commands", "user", "replay", "x" * 300, "\x1b[2J", "\x01" * 30_000)
    headers = random.choice(
        ({}, {"exchange": 7}, {"exchange": random.choice(marks), "routing_key": random.choice(marks)})
    )
    return make("handed back by hand", "parked", "operator", service, sent, REPLAY_EXCHANGE, headers=headers)
