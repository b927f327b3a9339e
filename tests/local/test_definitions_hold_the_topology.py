"""The document that the broker is given says what `contracts.topology` says, and names no password."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from contracts import topology
from contracts.services import PARTICIPANTS
from contracts.topology import SHOP
from holdfast.delivery import names
from provision import broker, secrets
from provision.permissions import CLIENT_TAG, of_all

SETTINGS = {secrets.broker_password(user): f"password of {user}" for user in secrets.BROKER_USERS}
DEFINITIONS = broker.definitions("somewhere", SETTINGS)


def by_name(kind: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in DEFINITIONS[kind]}


def test_the_standard_library_side_knows_the_same_names() -> None:
    assert secrets.VHOST == topology.VHOST
    assert set(secrets.BROKER_USERS) == {"admin", *of_all()}


def test_every_exchange_is_a_durable_topic_exchange() -> None:
    exchanges = by_name("exchanges")
    assert set(exchanges) == {
        *("commands", *(each.exchange for each in PARTICIPANTS)),
        *("dead", "replay", "queries", "replies", "unrouted"),
    }
    assert all(row["type"] == "topic" and row["durable"] for row in exchanges.values())
    assert exchanges["commands"]["arguments"] == {"alternate-exchange": "unrouted"}


def test_what_must_not_be_lost_is_in_a_quorum_queue() -> None:
    queues = by_name("queues")
    for service in topology.SERVICES:
        assert queues[service]["arguments"] == {
            "x-queue-type": "quorum",
            "x-single-active-consumer": True,
            "x-delivery-limit": names.DELIVERY_LIMIT,
            "x-dead-letter-exchange": "dead",
            "x-dead-letter-routing-key": service,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        dead = queues[f"{service}.dead"]["arguments"]
        assert dead == {"x-queue-type": "quorum", "x-delivery-limit": names.DEAD_DELIVERY_LIMIT}
    assert queues["unrouted.dead"]["arguments"]["x-queue-type"] == "quorum"


def test_questions_cannot_pile_up() -> None:
    for service in topology.SERVICES:
        arguments = by_name("queues")[f"{service}.queries"]["arguments"]
        assert arguments["x-message-ttl"] == 30_000
        assert arguments["x-max-length"] > 0


def test_every_binding_is_there_and_no_other() -> None:
    found = {(row["source"], row["destination"], row["routing_key"]) for row in DEFINITIONS["bindings"]}
    assert found == {(row.exchange, row.queue, row.routing_key) for row in SHOP.bindings}
    for fact in topology.FACTS.values():
        for service in fact.consumers:
            assert (fact.exchange, service, fact.bound_by(SHOP.exchanges[service])) in found


@pytest.mark.parametrize("answer", sorted({name for each in PARTICIPANTS for name in each.answers}))
def test_an_answer_reaches_the_service_that_asked_and_no_other(answer: str) -> None:
    found = {row["routing_key"]: row["destination"] for row in DEFINITIONS["bindings"] if answer in row["routing_key"]}
    assert found == {f"{answer}.{each.exchange}": each.service for each in PARTICIPANTS if answer in each.answers}


def test_every_binding_ends_in_a_queue_and_starts_at_an_exchange_that_are_defined() -> None:
    for row in DEFINITIONS["bindings"]:
        assert row["source"] in by_name("exchanges")
        assert row["destination"] in by_name("queues")


def test_passwords_are_there_as_salted_hashes_only() -> None:
    text = json.dumps(DEFINITIONS)
    assert not any(password in text for password in SETTINGS.values())
    for name, row in by_name("users").items():
        decoded = base64.b64decode(row["password_hash"])
        salt, digest = decoded[:4], decoded[4:]
        assert digest == hashlib.sha256(salt + SETTINGS[secrets.broker_password(name)].encode()).digest()


def test_only_the_operator_can_log_in_to_the_ui() -> None:
    tags = {name: row["tags"] for name, row in by_name("users").items() if row["tags"]}
    assert tags == {"operator": ["monitoring"], "client": [CLIENT_TAG]}
    assert CLIENT_TAG not in ("management", "policymaker", "monitoring", "administrator", "impersonator")


def test_the_broker_in_compose_takes_messages_as_large_as_the_native_one() -> None:
    configuration = (Path(__file__).parents[2] / "provision/rabbitmq.conf").read_text()
    assert f"max_message_size = {names.MESSAGE_BYTES_MAX}\n" in configuration
