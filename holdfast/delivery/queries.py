"""Questions to a service and their answers: JSON request and reply over the broker, outside of any saga.

A request goes to the exchange `queries` with its type as routing key and the asker's own reply queue in `reply_to`;
the answer goes to the exchange `replies` with that queue's name as routing key and the request's correlation id.
A question about something unknown is answered with `null`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal
from uuid import UUID

from holdfast.delivery.words import Audience, Contract, Service

Reply = type[Contract]


class Query(Contract):
    """A question, answered with a `reply` (or null) by `service`, or by each service where it has none.

    `audience`: who may ask it.
    """

    type: ClassVar[str]
    service: ClassVar[Service]
    reply: ClassVar[Reply]
    audience: ClassVar[tuple[Audience, ...]] = ("client", "operator")


class OutcomeView(Contract):
    """What became of a message: `handled`, `parked` in the dead-letter queue with a reason, or `unknown` so far."""

    outcome: Literal["handled", "parked", "unknown"]
    reason: str | None = None


class StatusView(Contract):
    """A service instance as it sees itself. Ages in seconds; `url` serves /health, /metrics and /asyncapi.

    `parked`: messages put in the dead-letter queue, within the time that the inbox remembers, and not handled since.
    """

    service: str
    instance: str
    version: str
    url: str
    healthy: bool
    problems: tuple[str, ...]
    outbox_rows: int
    outbox_oldest_s: float
    parked: int
    gauges: dict[str, float]


class ShowStatus(Query):
    """How the instance that happens to answer is doing. `service` names the one that is asked."""

    type: ClassVar[str] = "status"
    reply: ClassVar[Reply] = StatusView


class ShowOutcome(Query):
    """What became of a message that was sent to the service."""

    type: ClassVar[str] = "outcome"
    reply: ClassVar[Reply] = OutcomeView

    message_id: UUID


EVERY_SERVICE_QUERIES: dict[str, type[Query]] = {query.type: query for query in (ShowStatus, ShowOutcome)}
"""The questions that every service answers; the routing key is `<service>.<type>`."""


def parse_reply(query: Query, body: Any) -> Contract | None:
    """The answer to `query`, or None where what it asks about is unknown."""
    return None if body is None else query.reply.model_validate(body)
