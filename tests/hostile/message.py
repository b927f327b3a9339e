"""A hostile message, what should become of it, and the healthy ones that most are made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal
from uuid import UUID

from aio_pika.abc import AbstractChannel
from pamqp.commands import Basic

from contracts.topology import FACTS, SERVICES, SHOP
from holdfast.delivery.consumer import NAME_MAX
from holdfast.delivery.envelope import SINGLE
from holdfast.delivery.message import Message, Origin, Unreadable, decode
from holdfast.delivery.names import DEATH_HEADER, REPLAY_EXCHANGE, inbox_queue
from holdfast.delivery.words import Service
from tests.contracts.golden import GOLDEN

Fate = Literal["parked", "decided", "expires", "unrouted", "answered", "ignored", "refused"]
"""`parked`: in the dead letters of the service it reached. `decided`: handled, refused or parked, as the service finds.
`expires`: decided, or in the dead letters if the broker's clock is faster. `unrouted`: in the queue of what nobody
takes. `answered`: a question, with an error. `ignored`: a question that cannot be answered. `refused`: by the broker,
which closes the channel."""


@dataclass(frozen=True)
class HostileMessage:
    """`user`: the broker user who sends it. `why`: what is wrong with it."""

    why: str
    fate: Fate
    user: str
    exchange: str
    routing_key: str
    body: bytes = field(repr=False)
    properties: Basic.Properties = field(repr=False, compare=False)

    @property
    def content_type(self) -> str | None:
        """As it is sent."""
        return self.properties.content_type

    @property
    def headers(self) -> dict[str, Any]:
        """As they are sent."""
        return dict(self.properties.headers or {})

    async def publish(self, channel: AbstractChannel) -> None:
        """Publish it on a channel of its user; confirmed, if the channel has confirms.

        Raises what aio-pika raises where the fate is `refused`; the channel is closed then.
        """
        underlay = await channel.get_underlay_channel()
        await underlay.basic_publish(
            self.body, exchange=self.exchange, routing_key=self.routing_key, properties=self.properties, mandatory=True
        )

    def inbox_keys(self) -> dict[Service, set[UUID]]:
        """By which the inbox of each service that it reaches must know it, where it is parked or decided."""
        return {service: {each.key for each in contents} for service, contents in self._read().items()}

    def letters(self) -> set[bytes]:
        """The bodies of the dead letters that it must leave, as far as nobody has to decide on it."""
        if self.fate == "unrouted":
            return {self.body}
        parked = self._read() if self.fate == "parked" else {}
        return {each.body for contents in parked.values() for each in contents if isinstance(each, Unreadable)}

    def _read(self) -> dict[Service, list[Message | Unreadable]]:
        """As each service reads it that has to decide on it, or to park it."""
        if self.fate not in ("parked", "decided"):
            return {}
        exchange, routing_key, headers = self.exchange, self.routing_key, self.headers
        routes = {routing_key, *headers.get("CC", ())}
        if exchange == REPLAY_EXCHANGE:
            exchange = str(headers.get("exchange", ""))[:NAME_MAX] or exchange
            routing_key = str(headers.get("routing_key", ""))[:NAME_MAX] or routing_key
        elif DEATH_HEADER in headers:
            exchange = DEATH_HEADER
        encoding = self.properties.content_encoding
        origin = Origin(exchange, routing_key, self.content_type, content_encoding=encoding)
        reached = {
            each.queue for each in SHOP.bindings if each.exchange == self.exchange and each.routing_key in routes
        }
        return {
            service: decode(self.body, origin, SHOP.facts_for(service))
            for service in SERVICES
            if inbox_queue(service) in reached
        }


def healthy(random: Random, type_: str) -> dict[str, Any]:
    """A message of this type that can be read, about an account that nobody opens and with ids of its own."""
    sent: dict[str, Any] = json.loads(GOLDEN[type_])
    fresh: dict[str, str] = {}

    def own(text: str) -> str:
        try:
            UUID(text)
        except ValueError:
            return text
        return fresh.setdefault(text, str(UUID(int=random.getrandbits(128), version=4)))

    sent = _each_text(sent, own)
    prefix = "hostile" if type_ in ("account.open", "catalog.put", "promo.put") else "nobody"
    for name in sorted({"account_id", "item", "code"} & sent["data"].keys()):
        sent["data"][name] = f"{prefix}-{random.randrange(1000)}"
    sent["data"].pop("after", None)
    return sent


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case dict():
            return {name: _each_text(each, change) for name, each in value.items()}
        case list():
            return [_each_text(each, change) for each in value]
    return value


def command(random: Random) -> tuple[str, str, dict[str, Any]]:
    """The user, the type and the message of some healthy command."""
    type_ = random.choice(sorted(name for name, fact in FACTS.items() if fact.exchange == "commands"))
    user = "client" if "client" in FACTS[type_].audience else "operator"
    return user, type_, healthy(random, type_)


def make(
    why: str, fate: Fate, user: str, key: str, body: Any, exchange: str = "commands", **properties: Any
) -> HostileMessage:
    """Bytes are sent as they are, anything else as JSON; a property that is None is not sent."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    wanted = {"content_type": SINGLE, "delivery_mode": 2, **properties}
    known = {name: value for name, value in wanted.items() if value is not None}
    return HostileMessage(why, fate, user, exchange, key, content, Basic.Properties(**known))
