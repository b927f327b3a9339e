"""Which services there are, what they say to each other, and what is bound to what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from holdfast.delivery.names import (
    DEAD_EXCHANGE,
    QUERIES_EXCHANGE,
    REPLAY_EXCHANGE,
    UNROUTED_EXCHANGE,
    UNROUTED_QUEUE,
    dead_queue,
    inbox_queue,
    queries_queue,
)
from holdfast.delivery.queries import EVERY_SERVICE_QUERIES, Query
from holdfast.delivery.words import Exchange, Fact, Service


@dataclass(frozen=True)
class Binding:
    """Messages of `exchange` whose routing key matches go to `queue`."""

    exchange: str
    queue: str
    routing_key: str


@dataclass(frozen=True)
class Topology:
    """A system of services. Whoever owns it makes one of these from all its words.

    `title`: what its AsyncAPI documents call it. `exchanges`: where each service, by its name, alone announces.
    `facts`: every command and event, by type. `queries`: the questions that one service answers each, by type.
    `commands`: the exchange of the commands. `info`: what else the documents tell of it, in the words of AsyncAPI's
    Info Object.
    """

    title: str
    exchanges: Mapping[Service, Exchange]
    facts: Mapping[str, type[Fact]]
    queries: Mapping[str, type[Query]]
    commands: Exchange = "commands"
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def publishers(self) -> tuple[Exchange, ...]:
        """The exchanges by which commands and events come."""
        return self.commands, *self.exchanges.values()

    def facts_for(self, service: Service) -> dict[str, type[Fact]]:
        """The commands and events that a service takes, by type."""
        return {name: fact for name, fact in self.facts.items() if service in fact.consumers}

    @cached_property
    def bindings(self) -> tuple[Binding, ...]:
        """Every binding, except those of reply queues."""
        found = [
            Binding(fact.exchange, inbox_queue(service), fact.bound_by(self.exchanges[service]))
            for fact in self.facts.values()
            for service in fact.consumers
        ]
        for service in self.exchanges:
            found.append(Binding(DEAD_EXCHANGE, dead_queue(service), service))
            found.append(Binding(REPLAY_EXCHANGE, inbox_queue(service), service))
            found += [
                Binding(QUERIES_EXCHANGE, queries_queue(service), f"{service}.{name}") for name in EVERY_SERVICE_QUERIES
            ]
        found.append(Binding(UNROUTED_EXCHANGE, UNROUTED_QUEUE, "#"))
        found += [
            Binding(QUERIES_EXCHANGE, queries_queue(query.service), query.type) for query in self.queries.values()
        ]
        return tuple(dict.fromkeys(found))

    @cached_property
    def taken(self) -> frozenset[tuple[Exchange, str]]:
        """Exchanges and routing keys that a queue is bound by. What is published by another may reach nobody."""
        return frozenset((each.exchange, each.routing_key) for each in self.bindings)
