"""The broker's exchanges, queues, bindings, users and permissions, as one RabbitMQ definitions document."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Any

from contracts import topology
from contracts.topology import SHOP
from holdfast.delivery import names
from provision.management import Management
from provision.permissions import CLIENT_TAG, NOTHING, Rights, of_all, of_client
from provision.secrets import broker_password

QUESTION_TTL_MS = 30_000
"""A question that nobody took in this time is dropped: its asker has given up by then."""
QUESTIONS_MAX = 10_000
"""Questions that wait for one service at most; the oldest are dropped first, so that askers cannot fill the broker."""

Definitions = dict[str, Any]
Settings = Mapping[str, str]


def definitions(vhost: str, settings: Settings) -> Definitions:
    """Everything that a virtual host must hold. `settings` has the passwords, under the names of `.env`."""
    users = of_all()
    return {
        "vhosts": [{"name": vhost}],
        "users": [_user(name, settings[broker_password(name)], rights.tags) for name, rights in users.items()],
        "permissions": [_permission(vhost, name, rights) for name, rights in users.items()],
        "topic_permissions": [row for name, rights in users.items() for row in _topic_permissions(vhost, name, rights)],
        "exchanges": exchanges(vhost),
        "queues": queues(vhost),
        "bindings": bindings(vhost),
    }


def exchanges(vhost: str) -> list[Definitions]:
    """Durable topic exchanges; a command that no service takes goes to `unrouted` instead of nowhere."""
    others = (
        names.DEAD_EXCHANGE,
        names.REPLAY_EXCHANGE,
        names.QUERIES_EXCHANGE,
        names.REPLIES_EXCHANGE,
        names.UNROUTED_EXCHANGE,
    )
    return [
        {
            "vhost": vhost,
            "name": name,
            "type": "topic",
            "durable": True,
            "auto_delete": False,
            "internal": False,
            "arguments": {"alternate-exchange": names.UNROUTED_EXCHANGE} if name == "commands" else {},
        }
        for name in (*SHOP.publishers, *others)
    ]


def queues(vhost: str) -> list[Definitions]:
    """Quorum queues for what must not be lost, bounded classic ones for questions."""
    found: list[Definitions] = []
    for service in topology.SERVICES:
        found.append(_queue(vhost, names.inbox_queue(service), _inbox_arguments(service)))
        found.append(_queue(vhost, names.dead_queue(service), _dead_arguments()))
        found.append(_queue(vhost, names.queries_queue(service), _queries_arguments()))
    return [*found, _queue(vhost, names.UNROUTED_QUEUE, _dead_arguments())]


def bindings(vhost: str) -> list[Definitions]:
    """The bindings of `contracts.topology`, in the broker's words."""
    return [
        {
            "vhost": vhost,
            "source": binding.exchange,
            "destination": binding.queue,
            "destination_type": "queue",
            "routing_key": binding.routing_key,
            "arguments": {},
        }
        for binding in SHOP.bindings
    ]


def provision(management: Management, vhost: str, settings: Settings) -> None:
    """Make `vhost` hold what `definitions` says, whatever it held before; messages in its queues are kept.

    Clients that were added get the rights of a client as they are today. Users whose rights have changed lose their
    connections: a channel that is kept busy would go on with the rights that it has once used.
    """
    before = _rights(management, vhost)
    management.call("POST", "definitions", body=definitions(vhost, settings))
    _unbind_stale(management, vhost)
    _renew_clients(management, vhost)
    now = _rights(management, vhost)
    for user in (user for user in before if before[user] != now.get(user)):
        management.call("DELETE", "connections", "username", user, missing_ok=True)
    if management.user != "guest":
        management.call("DELETE", "users", "guest", missing_ok=True)


def add_client(management: Management, vhost: str, name: str) -> str:
    """Add one more client user, with the rights of a client. Returns its new password."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", name):
        raise ValueError(f"{name!r}: a client's name is up to 32 of a-z, 0-9, _ and -, and starts with a letter")
    if name in of_all() or name == management.user or management.call("GET", "users", name, missing_ok=True):
        raise ValueError(f"{name!r}: this user exists already")
    password, rights = secrets.token_hex(20), of_client(name)
    body = {
        "users": [_user(name, password, rights.tags)],
        "permissions": [_permission(vhost, name, rights)],
        "topic_permissions": _topic_permissions(vhost, name, rights),
    }
    management.call("POST", "definitions", body=body)
    return password


def drop(management: Management, vhost: str) -> None:
    """Delete the virtual host and every message in it. Users stay, since they may have rights elsewhere."""
    management.call("DELETE", "vhosts", vhost, missing_ok=True)


def password_hash(password: str) -> str:
    """A salted SHA-256 hash in RabbitMQ's form: base64 of the salt (4 bytes) and the digest of salt and password."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _unbind_stale(management: Management, vhost: str) -> None:
    """Remove bindings that an earlier version made: a service must not get what it no longer takes.

    And those from exchange to exchange, which whoever may publish to the one and listen to the other can make.
    """
    wanted = {(row["source"], row["destination"], row["routing_key"]) for row in bindings(vhost)}
    ours = {row["name"] for row in queues(vhost)}
    for row in management.call("GET", "bindings", vhost):
        key = (row["source"], row["destination"], row["routing_key"])
        forwards = row["destination_type"] == "exchange"
        if forwards or (row["source"] and row["destination"] in ours and key not in wanted):
            target = ("e" if forwards else "q", row["destination"], row["properties_key"])
            management.call("DELETE", "bindings", vhost, "e", row["source"], *target, missing_ok=True)


def _rights(management: Management, vhost: str) -> dict[str, set[frozenset[tuple[str, str]]]]:
    """What the broker has written down for each user; nothing if it has no such virtual host yet."""
    found: dict[str, set[frozenset[tuple[str, str]]]] = {}
    for kind in ("permissions", "topic-permissions"):
        for row in management.call("GET", "vhosts", vhost, kind, missing_ok=True) or ():
            found.setdefault(row["user"], set()).add(frozenset(row.items()))
    return found


def _renew_clients(management: Management, vhost: str) -> None:
    """Give every client today's rights, and take from it what an earlier version gave it beyond them.

    A topic exchange without a topic permission is open. So topic permissions are there before what they restrict is
    granted, and are only deleted (which the API does to all of a user's at once) from who may do nothing meanwhile.
    """
    clients = _clients(management, vhost)
    topics = [row for name, rights in clients.items() for row in _topic_permissions(vhost, name, rights)]
    wanted = {(row["user"], row["exchange"]) for row in topics}
    there = {(row["user"], row["exchange"]) for row in management.call("GET", "vhosts", vhost, "topic-permissions")}
    for name in clients.keys() & {user for user, _ in there - wanted}:
        nothing = {"configure": NOTHING, "write": NOTHING, "read": NOTHING}
        management.call("PUT", "permissions", vhost, name, body=nothing)
        management.call("DELETE", "topic-permissions", vhost, name)
    permissions = [_permission(vhost, name, rights) for name, rights in clients.items()]
    for body in ({"topic_permissions": topics}, {"permissions": permissions}):
        management.call("POST", "definitions", body=body)


def _clients(management: Management, vhost: str) -> dict[str, Rights]:
    """Who has a client's tag, or a client's own queues as clients had them before there was the tag."""
    tagged = {row["name"] for row in management.call("GET", "users") if CLIENT_TAG in row["tags"]}
    configures = {row["user"]: row["configure"] for row in management.call("GET", "vhosts", vhost, "permissions")}
    others = {management.user, *(name for name, rights in of_all().items() if CLIENT_TAG not in rights.tags)}
    found = {name: of_client(name) for name in configures.keys() - others}
    return {name: rights for name, rights in found.items() if name in tagged or configures[name] == rights.configure}


def _queue(vhost: str, name: str, arguments: dict[str, object]) -> Definitions:
    return {"vhost": vhost, "name": name, "durable": True, "auto_delete": False, "arguments": arguments}


def _inbox_arguments(service: str) -> dict[str, object]:
    """One replica at a time takes from an inbox, and the broker gives it to the next when that one is gone: two that
    took in turns would handle a command before the one it was sent after.
    """
    return {
        "x-queue-type": "quorum",
        "x-single-active-consumer": True,
        "x-delivery-limit": names.DELIVERY_LIMIT,
        "x-dead-letter-exchange": names.DEAD_EXCHANGE,
        "x-dead-letter-routing-key": service,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _dead_arguments() -> dict[str, object]:
    return {"x-queue-type": "quorum", "x-delivery-limit": names.DEAD_DELIVERY_LIMIT}


def _queries_arguments() -> dict[str, object]:
    return {"x-queue-type": "classic", "x-message-ttl": QUESTION_TTL_MS, "x-max-length": QUESTIONS_MAX}


def _user(name: str, password: str, tags: tuple[str, ...]) -> Definitions:
    return {
        "name": name,
        "password_hash": password_hash(password),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": list(tags),
    }


def _permission(vhost: str, user: str, rights: Rights) -> Definitions:
    return {
        "user": user,
        "vhost": vhost,
        "configure": rights.configure,
        "write": rights.write,
        "read": rights.read,
    }


def _topic_permissions(vhost: str, user: str, rights: Rights) -> list[Definitions]:
    return [
        {"user": user, "vhost": vhost, "exchange": topic.exchange, "write": topic.write, "read": topic.read}
        for topic in rights.topics
    ]
