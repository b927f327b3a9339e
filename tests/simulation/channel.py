"""The broker as a relay sees it: what aio-pika's channel offers the relay, answered by a simulated broker.

It is held to a real channel by `test_simulated_channel_is_as_a_real_one.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import aio_pika
from aio_pika.exceptions import AMQPConnectionError, PublishError
from aiormq.abc import DeliveredMessage
from pamqp import commands as spec
from pamqp.header import ContentHeader

from tests.simulation.node import Died

Verdict = Literal["confirmed", "unroutable", "lost"]
"""What becomes of a publish. `lost`: the connection ended before the broker said anything; it may have the message."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as the relay publishes it."""

    exchange: str
    routing_key: str
    content_type: str
    body: bytes
    headers: dict[str, str]
    mandatory: bool


Broker = Callable[[Sent], Verdict]


class Channel:
    """One channel. Where the process dies in a publish, `death` says so and nothing more is sent."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.is_closed = False
        self.death: Died | None = None

    async def get_exchange(self, name: str, ensure: bool = True) -> _Exchange:
        return _Exchange(name, self)

    async def set_qos(self, prefetch_count: int = 0) -> None:
        """Answered at once: what was published before has arrived."""

    def publish(self, sent: Sent) -> None:
        """Raises what a real channel does. A death is remembered for the next checkpoint: a task would swallow it."""
        if self.death:
            return
        try:
            verdict = self._broker(sent)
        except Died as death:
            self.death = death
            return
        if verdict == "unroutable":
            raise _unroutable(sent)
        if verdict == "lost":
            raise _lost()


@dataclass(frozen=True, slots=True)
class _Exchange:
    name: str
    channel: Channel

    async def publish(
        self,
        message: aio_pika.Message,
        routing_key: str,
        *,
        mandatory: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> None:
        headers = {key: str(value) for key, value in message.headers.items()}
        self.channel.publish(Sent(self.name, routing_key, message.content_type or "", message.body, headers, mandatory))


def _lost() -> AMQPConnectionError:
    return AMQPConnectionError("Server connection reset")


def _unroutable(sent: Sent) -> PublishError:
    returned = spec.Basic.Return(312, "NO_ROUTE", sent.exchange, sent.routing_key)
    message = DeliveredMessage(delivery=returned, header=ContentHeader(), body=sent.body, channel=None)  # type: ignore[arg-type]
    return PublishError(message, returned)
