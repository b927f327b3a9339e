"""The permissions, cell by cell, against the policy written down here as a table.

`allowed` decides as RabbitMQ does: the resource's name by the permission, then the routing key by the topic
permission of that user and exchange, if there is one. The real broker is asked in `test_the_broker_refuses`.
"""

from __future__ import annotations

import re

import pytest

from contracts import topology
from contracts.services import PARTICIPANTS
from contracts.topology import SHOP
from provision.permissions import Rights, of_all, of_client

EVERY = object()
WITH_WORDS = [each for each in PARTICIPANTS if each.words]
"""Services whose commands are in folders of their own. Their users may do what any service's user may."""
COMMANDS = {name for name, fact in topology.FACTS.items() if fact.exchange == "commands"}
CLIENT_COMMANDS = {"account.open", "account.credit", "order.place", "order.cancel", "promo.redeem"}
"""Those of the shop that clients may send. All others are for operators."""
OF_OTHERS = {
    name
    for each in WITH_WORDS
    for name, fact in SHOP.facts_for(each.service).items()
    if fact.exchange == "commands" and "client" in fact.audience
}
NEWER = {"order.place.v2"}
REPLIES = {"reply.client.1", "reply.operator.1", "reply.client2.1"}

KEYS = sorted(
    {
        *topology.FACTS,
        *topology.QUERIES,
        *topology.SERVICES,
        *REPLIES,
        *NEWER,
        "catalog.put.v2",
        "#",
        "*",
        "nobody.knows",
        "",
    }
)

PUBLISH: dict[str, dict[str, object]] = {
    "user_service": {"user": EVERY, "dead": {"user_service"}, "replies": REPLIES},
    "order_service": {"order": EVERY, "dead": {"order_service"}, "replies": REPLIES},
    "promo_service": {"promo": EVERY, "dead": {"promo_service"}, "replies": REPLIES},
    **{each.service: {each.exchange: EVERY, "dead": {each.service}, "replies": REPLIES} for each in WITH_WORDS},
    "client": {"commands": CLIENT_COMMANDS | OF_OTHERS | NEWER, "queries": set(KEYS) - {"promo.show"}},
    "operator": {"commands": EVERY, "queries": EVERY, "replay": EVERY},
}
BIND: dict[str, dict[str, object]] = {
    "client": {"replies": {"reply.client.1"}},
    "operator": {
        "user": EVERY,
        "order": EVERY,
        "promo": EVERY,
        **{each.exchange: EVERY for each in WITH_WORDS},
        "commands": EVERY,
        "replies": {"reply.operator.1"},
    },
}
CONSUME: dict[str, set[str]] = {
    "user_service": {"user_service", "user_service.queries"},
    "order_service": {"order_service", "order_service.queries"},
    "promo_service": {"promo_service", "promo_service.queries"},
    **{each.service: {each.service, f"{each.service}.queries"} for each in WITH_WORDS},
    "client": {"reply.client.1"},
    "operator": {
        *(f"{each.service}.dead" for each in WITH_WORDS),
        *("user_service.dead", "order_service.dead", "promo_service.dead", "unrouted.dead"),
        *("reply.operator.1", "tap.operator.1"),
    },
}
DECLARE: dict[str, set[str]] = {"client": {"reply.client.1"}, "operator": {"reply.operator.1", "tap.operator.1"}}

USERS = tuple(PUBLISH)
EXCHANGES = (
    *SHOP.publishers,
    "dead",
    "replay",
    "queries",
    "replies",
    "unrouted",
    "amq.default",
    "amq.topic",
)
CELLS = [(user, exchange) for user in USERS for exchange in EXCHANGES]
QUEUES = sorted(
    {binding.queue for binding in SHOP.bindings}
    | {f"{kind}.{name}.1" for kind in ("reply", "tap") for name in (*USERS, "client2")}
    | {"mine", "reply.client", "xreply.client.1", "user_service.dead2", "user_service2", "user_serviceXqueries"}
)


def in_table(table: dict[str, dict[str, object]], user: str, exchange: str, key: str) -> bool:
    keys = table.get(user, {}).get(exchange, set())
    return keys is EVERY or (isinstance(keys, set) and key in keys)


def allowed(rights: Rights, action: str, resource: str, key: str | None = None) -> bool:
    if not re.search(getattr(rights, action), resource):
        return False
    topic = next((topic for topic in rights.topics if topic.exchange == resource), None)
    return key is None or topic is None or bool(re.search(getattr(topic, action), key))


@pytest.mark.parametrize(("user", "exchange"), CELLS)
def test_publishing(user: str, exchange: str) -> None:
    found = {key for key in KEYS if allowed(of_all()[user], "write", exchange, key)}
    assert found == {key for key in KEYS if in_table(PUBLISH, user, exchange, key)}


@pytest.mark.parametrize(("user", "exchange"), CELLS)
def test_binding_to_an_exchange(user: str, exchange: str) -> None:
    found = {key for key in KEYS if allowed(of_all()[user], "read", exchange, key)}
    assert found == {key for key in KEYS if in_table(BIND, user, exchange, key)}


@pytest.mark.parametrize("user", USERS)
def test_consuming(user: str) -> None:
    assert {queue for queue in QUEUES if allowed(of_all()[user], "read", queue)} == CONSUME[user]


@pytest.mark.parametrize("user", USERS)
def test_declaring_and_binding_queues(user: str) -> None:
    declared = {queue for queue in QUEUES if allowed(of_all()[user], "configure", queue)}
    bound = {queue for queue in QUEUES if allowed(of_all()[user], "write", queue)}
    assert declared == bound == DECLARE.get(user, set())


def test_nobody_may_declare_an_exchange() -> None:
    for user in USERS:
        assert not [name for name in EXCHANGES if allowed(of_all()[user], "configure", name)]


def test_the_table_names_commands_that_there_are() -> None:
    assert COMMANDS > CLIENT_COMMANDS


def test_two_clients_do_not_see_each_others_answers() -> None:
    for one, other in (("client", "client2"), ("client2", "client")):
        rights = of_client(one)
        assert allowed(rights, "read", f"reply.{one}.1")
        assert not allowed(rights, "read", f"reply.{other}.1")
        assert not allowed(rights, "read", "replies", f"reply.{other}.1")
