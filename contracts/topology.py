"""All that is said in this shop, by whom and to whom. The broker's definitions are generated from this."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import TypeVar

from contracts import commands, events, queries
from contracts.services import PARTICIPANTS
from contracts.services import SERVICES as SERVICES
from holdfast.delivery.queries import Query
from holdfast.delivery.topology import Topology
from holdfast.delivery.words import Contract, Fact

VHOST = "holdfast"

_Word = TypeVar("_Word", bound=Contract)


def _declared(base: type[_Word], *modules: ModuleType) -> Iterator[type[_Word]]:
    """The words of this sort that have a type, in these modules and in those of the services."""
    of_services = [import_module(f"{each.module}.words") for each in PARTICIPANTS if each.words]
    found = [value for module in (*modules, *of_services) for value in vars(module).values()]
    words = [value for value in found if isinstance(value, type) and issubclass(value, base) and "type" in vars(value)]
    yield from dict.fromkeys(words)


FACTS: dict[str, type[Fact]] = {fact.type: fact for fact in _declared(Fact, commands, events)}
"""Every command and event, in the order of their declaration."""

QUERIES: dict[str, type[Query]] = {query.type: query for query in _declared(Query, queries)}
"""The questions that one service answers each, by type."""

SHOP = Topology(
    title="holdfast",
    exchanges={each.service: each.exchange for each in PARTICIPANTS},
    facts=FACTS,
    queries=QUERIES,
    info={"license": {"name": "Apache-2.0"}},
)
