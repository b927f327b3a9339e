"""Names of exchanges and queues, and what is bound to what. The broker's definitions are generated from this."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TypeVar

from contracts import commands, events, queries
from contracts.services import PARTICIPANTS
from contracts.services import SERVICES as SERVICES
from holdfast.delivery.queries import EVERY_SERVICE_QUERIES, Query
from holdfast.delivery.words import Contract, Exchange, Fact, Service

VHOST = "holdfast"

EXCHANGE_OF: dict[Service, Exchange] = {each.service: each.exchange for each in PARTICIPANTS}
PUBLISHER_EXCHANGES: tuple[Exchange, ...] = ("commands", *EXCHANGE_OF.values())

DEAD_EXCHANGE = "dead"
"""Where a service parks what it cannot handle, and the broker what it gives up on; routing key: the service."""
REPLAY_EXCHANGE = "replay"
"""How an operator hands a dead letter back; routing key: the service."""
DEATH_HEADER = "x-death"
"""The broker's mark on what a queue dead-lettered. Who may declare a queue can have it send on what it gets, to any
exchange that he may publish to and under a routing key that he may not."""
QUERIES_EXCHANGE = "queries"
REPLIES_EXCHANGE = "replies"
"""Answers to queries; routing key: the name of the asker's own reply queue."""
UNROUTED_EXCHANGE = "unrouted"
"""The alternate exchange of `commands`: what no service takes."""
UNROUTED_QUEUE = "unrouted.dead"

MESSAGE_BYTES_MAX = 2 * 1024 * 1024
"""What the broker takes at all. A body above `BODY_BYTES_MAX` but below this is parked with its reason."""

DELIVERY_LIMIT = 50
"""Deliveries after which the broker dead-letters a message. High, because a killed consumer raises the count of every
message it had prefetched; a message that crashes its service is found by the attempts counted in the database."""
DEAD_DELIVERY_LIMIT = 1_000_000
"""Looking at a dead letter counts as a delivery, and must never be the reason for losing it."""


def inbox_queue(service: Service) -> str:
    """The one queue through which all events of a service arrive."""
    return service


def dead_queue(service: Service) -> str:
    """Where the service's dead letters wait for an operator."""
    return f"{service}.dead"


def queries_queue(service: Service) -> str:
    """Where questions to a service arrive; it is not durable, since a question outlives nobody."""
    return f"{service}.queries"


_Word = TypeVar("_Word", bound=Contract)


def _declared(base: type[_Word], *modules: ModuleType) -> Iterator[type[_Word]]:
    """The words of this sort that have a type, in these modules and in those of the services."""
    of_services = [import_module(f"{each.module}.words") for each in PARTICIPANTS if each.words]
    found = [value for module in (*modules, *of_services) for value in vars(module).values()]
    words = [value for value in found if isinstance(value, type) and issubclass(value, base) and "type" in vars(value)]
    yield from dict.fromkeys(words)


def facts() -> tuple[type[Fact], ...]:
    """Every command and event, in the order of their declaration."""
    return tuple(_declared(Fact, commands, events))


FACTS: dict[str, type[Fact]] = {fact.type: fact for fact in facts()}

QUERIES: dict[str, type[Query]] = {query.type: query for query in _declared(Query, queries)}
"""The questions that one service answers each, by type."""


def facts_for(service: Service) -> dict[str, type[Fact]]:
    """The commands and events that a service takes, by type."""
    return {name: fact for name, fact in FACTS.items() if service in fact.consumers}


@dataclass(frozen=True)
class Binding:
    """Messages of `exchange` whose routing key matches go to `queue`."""

    exchange: str
    queue: str
    routing_key: str


def bindings() -> tuple[Binding, ...]:
    """Every binding of the system, except those of reply queues."""
    found = [
        Binding(fact.exchange, inbox_queue(service), fact.bound_by(EXCHANGE_OF[service]))
        for fact in FACTS.values()
        for service in fact.consumers
    ]
    for service in SERVICES:
        found.append(Binding(DEAD_EXCHANGE, dead_queue(service), service))
        found.append(Binding(REPLAY_EXCHANGE, inbox_queue(service), service))
        found += [
            Binding(QUERIES_EXCHANGE, queries_queue(service), f"{service}.{name}") for name in EVERY_SERVICE_QUERIES
        ]
    found.append(Binding(UNROUTED_EXCHANGE, UNROUTED_QUEUE, "#"))
    found += [Binding(QUERIES_EXCHANGE, queries_queue(query.service), query.type) for query in QUERIES.values()]
    return tuple(dict.fromkeys(found))


TAKEN: frozenset[tuple[str, str]] = frozenset((each.exchange, each.routing_key) for each in bindings())
"""Exchanges and routing keys that a queue is bound by. What is published by another may reach nobody."""
