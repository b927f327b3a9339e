"""Who may do what on the broker: the least that lets each user play its part.

RabbitMQ checks a user's rights by regular expressions over names of exchanges and queues, and on topic exchanges
over routing keys as well. A topic exchange without a topic permission of the user is open to whoever passes the
first check, so each exchange that several publish to, or bind to, has one for each of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from contracts import topology
from contracts.topology import QUERIES, SHOP
from holdfast.delivery import names
from holdfast.delivery.words import Exchange, Service

COMMANDS: Exchange = "commands"
NOTHING = "^$"
CLIENT_TAG = "holdfast-client"
"""By which provisioning knows the clients that were added. RabbitMQ grants nothing for it."""


@dataclass(frozen=True)
class Topic:
    """Routing keys of `exchange` that a user may publish with (`write`) and bind queues by (`read`)."""

    exchange: str
    write: str = NOTHING
    read: str = NOTHING


@dataclass(frozen=True)
class Rights:
    """What a user may declare, publish to or bind as a destination, and consume from or bind as a source."""

    configure: str
    write: str
    read: str
    topics: tuple[Topic, ...]
    tags: tuple[str, ...] = ()


def of_service(service: Service) -> Rights:
    """A service announces on its own exchange, parks, answers questions, and consumes what is addressed to it."""
    name = re.escape(service)
    own = re.escape(SHOP.exchanges[service])
    dead, replies = names.DEAD_EXCHANGE, names.REPLIES_EXCHANGE
    return Rights(
        configure=NOTHING,
        write=f"^({own}|{dead}|{replies})$",
        read=rf"^{name}(\.queries)?$",
        topics=(Topic(dead, write=f"^{name}$"), Topic(replies, write=r"^reply\.")),
    )


def of_client(user: str) -> Rights:
    """A client sends commands and asks; of answers it gets those that are addressed to its own reply queues."""
    own = rf"reply\.{re.escape(user)}\..*"
    return Rights(
        configure=f"^{own}$",
        write=f"^({COMMANDS}|{names.QUERIES_EXCHANGE}|{own})$",
        read=f"^({names.REPLIES_EXCHANGE}|{own})$",
        topics=(
            Topic(COMMANDS, write=_commands_of_clients()),
            Topic(names.QUERIES_EXCHANGE, write=_questions_of_clients()),
            Topic(names.REPLIES_EXCHANGE, read=rf"^reply\.{re.escape(user)}\."),
        ),
        tags=(CLIENT_TAG,),
    )


def of_operator(user: str) -> Rights:
    """An operator does what a client may, sets catalog and promos, watches all events and replays dead letters."""
    own = rf"(reply|tap)\.{re.escape(user)}\..*"
    watched = "|".join((*SHOP.publishers, names.REPLIES_EXCHANGE))
    writes = "|".join((COMMANDS, names.QUERIES_EXCHANGE, names.REPLAY_EXCHANGE))
    dead = "|".join(map(re.escape, (*map(names.dead_queue, topology.SERVICES), names.UNROUTED_QUEUE)))
    return Rights(
        configure=f"^{own}$",
        write=f"^({writes}|{own})$",
        read=rf"^({watched}|{dead}|{own})$",
        topics=(
            Topic(COMMANDS, write=".*", read=".*"),
            Topic(names.REPLIES_EXCHANGE, read=rf"^reply\.{re.escape(user)}\."),
        ),
        tags=("monitoring",),
    )


def of_all() -> dict[str, Rights]:
    """Every user of a fresh broker, except its administrator."""
    rights = {"client": of_client("client"), "operator": of_operator("operator")}
    return {**{str(name): of_service(name) for name in topology.SERVICES}, **rights}


def _questions_of_clients() -> str:
    """All but what only an operator may ask; one that nobody answers comes back, instead of being refused."""
    types = [re.escape(name) for name, query in QUERIES.items() if "client" not in query.audience]
    return rf"^(?!({'|'.join(types)})$)"


def _commands_of_clients() -> str:
    """Also in versions that nobody takes yet: these are kept in the queue of the unrouted, instead of being refused."""
    types = sorted(name for name, fact in topology.FACTS.items() if "client" in fact.audience)
    return rf"^({'|'.join(re.escape(name) for name in types)})(\.v[0-9]+)?$"
