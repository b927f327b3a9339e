"""Every golden message is read with every field, whatever the models have become."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts.topology import FACTS, SHOP
from holdfast.delivery.asyncapi import schemas
from holdfast.delivery.envelope import BATCH, SINGLE, Envelope, encode
from holdfast.delivery.message import Message, Origin, decode
from holdfast.delivery.words import Fact
from tests.contracts.golden import BATCH_BODY, GOLDEN, LINES

SCHEMAS = schemas(SHOP)
each_message = pytest.mark.parametrize("sent", [json.loads(line) for line in LINES], ids=lambda sent: sent["type"])


def messages_in(body: bytes, content_type: str, fact: type[Fact]) -> list[Message]:
    """What a service takes from this body; fails if it cannot read a part of it."""
    first = json.loads(body)[0] if content_type == BATCH else json.loads(body)
    found = decode(body, Origin(fact.exchange, fact.read(first["data"]).routing_key, content_type), FACTS)
    assert all(isinstance(each, Message) for each in found), found
    return [each for each in found if isinstance(each, Message)]


def require_all_fields(sent: dict[str, Any], message: Message) -> None:
    """Every field of the message was read, with exactly the value and the JSON type it was sent with."""
    assert isinstance(message.envelope, Envelope)
    read = message.envelope.model_dump(mode="json") | {"data": message.fact.model_dump(mode="json")}
    for part, expected in ((read, sent), (read["data"], sent["data"])):
        kept = {name: part.get(name) for name in expected if name != "data"}
        assert json.dumps(kept, sort_keys=True) == json.dumps(
            {name: value for name, value in expected.items() if name != "data"}, sort_keys=True
        )
    assert str(message.id) == sent["id"]
    assert message.trace == sent.get("traceparent")


def test_each_type_has_a_golden_message() -> None:
    assert GOLDEN.keys() >= FACTS.keys()


@each_message
def test_a_golden_message_is_read_with_every_field(sent: dict[str, Any]) -> None:
    fact = FACTS[sent["type"]]
    [message] = messages_in(json.dumps(sent).encode(), SINGLE, fact)
    assert type(message.fact) is fact
    require_all_fields(sent, message)
    assert (message.fact.subject, message.fact.saga) == (sent["subject"], sent["correlationid"])


@each_message
def test_a_golden_message_fits_its_schema(sent: dict[str, Any]) -> None:
    for schema, part in ((SCHEMAS["envelope"], sent), (SCHEMAS[sent["type"]], sent["data"])):
        Draft202012Validator.check_schema(schema)
        Draft202012Validator(schema).validate(part)
        broken: dict[str, object] = {name: {} for name in part}
        assert not Draft202012Validator(schema).is_valid(broken)


def test_a_golden_batch_is_read_with_every_field_in_order() -> None:
    sent = json.loads(BATCH_BODY)
    found = messages_in(BATCH_BODY, BATCH, FACTS["order.placed"])
    assert [str(each.id) for each in found] == [each["id"] for each in sent]
    for each, message in zip(sent, found, strict=True):
        require_all_fields(each, message)
    assert [getattr(each.fact, "after", None) == () for each in found] == [False, True, False]


@each_message
def test_what_is_written_again_is_read_the_same(sent: dict[str, Any]) -> None:
    """Alone or in a batch, an envelope survives being written and read."""
    fact = FACTS[sent["type"]]
    [message] = messages_in(json.dumps(sent).encode(), SINGLE, fact)
    assert message.envelope is not None
    for count in (1, 3):
        content_type, body = encode([message.envelope] * count)
        assert content_type == (SINGLE if count == 1 else BATCH)
        assert messages_in(body, content_type, fact) == [message] * count


@each_message
def test_unknown_fields_are_ignored(sent: dict[str, Any]) -> None:
    """Attributes and data that a later version may add."""
    [message] = messages_in(json.dumps(sent).encode(), SINGLE, FACTS[sent["type"]])
    more = sent | {"dataschema": "https://example.org/2", "later": [1], "data": sent["data"] | {"later": {"a": None}}}
    [same] = messages_in(json.dumps(more).encode(), SINGLE, FACTS[sent["type"]])
    assert (same.id, same.fact, same.trace) == (message.id, message.fact, message.trace)


@each_message
def test_only_four_attributes_and_the_data_are_required(sent: dict[str, Any]) -> None:
    """What a person publishes by hand."""
    least = {name: sent[name] for name in ("specversion", "id", "source", "type", "data")}
    [message] = messages_in(json.dumps(least).encode(), SINGLE, FACTS[sent["type"]])
    require_all_fields(least, message)
