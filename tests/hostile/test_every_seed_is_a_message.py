"""The same seed is the same message, all kinds come up, and what is said to become of each is what reading it gives."""

from __future__ import annotations

import json
import re
from collections import Counter
from random import Random

import pytest

from contracts.topology import FACTS, SERVICES, SHOP
from holdfast.delivery.envelope import BODY_BYTES_MAX, SINGLE
from holdfast.delivery.message import Message, Origin, Unreadable, decode
from holdfast.delivery.names import DEATH_HEADER
from tests.hostile import HostileMessage, hostile
from tests.hostile.message import command
from tests.hostile.texts import HUGE

SEEDS = range(4000)
NUMBER = re.compile(rb": (-?1[\d.eE+]{3,}|-?9\.9e99999)[,}]")


@pytest.fixture(scope="module")
def messages() -> list[HostileMessage]:
    """The messages of the first seeds."""
    return [hostile(seed) for seed in SEEDS]


def test_a_seed_is_always_the_same_message(messages: list[HostileMessage]) -> None:
    for seed in SEEDS[::50]:
        again = hostile(seed)
        assert again == messages[seed]
        assert again.properties.marshal() == messages[seed].properties.marshal()


def test_every_kind_comes_up(messages: list[HostileMessage]) -> None:
    fates = Counter(each.fate for each in messages)
    assert fates.keys() == {"parked", "decided", "expires", "unrouted", "answered", "ignored", "refused"}
    assert fates["parked"] > len(messages) / 4
    assert {each.user for each in messages} == {"client", "operator", *SERVICES}
    assert len({each.why for each in messages}) > 150
    assert len({each.body for each in messages}) > 0.9 * len(messages)
    assert any(len(each.body) > BODY_BYTES_MAX for each in messages)


def test_what_is_to_be_parked_cannot_be_read_and_what_is_decided_reaches_a_service(
    messages: list[HostileMessage],
) -> None:
    for each in messages:
        if each.fate in ("parked", "decided"):
            assert each.inbox_keys(), each
    for each in messages:
        if each.fate == "parked" and each.exchange == "commands":
            for service in each.inbox_keys():
                exchange, encoding = each.headers.get(DEATH_HEADER) and DEATH_HEADER, each.properties.content_encoding
                origin = Origin(exchange or "commands", each.routing_key, each.content_type, False, encoding)
                found = decode(each.body, origin, SHOP.facts_for(service))
                assert found, each
                assert all(isinstance(content, Unreadable) for content in found), each


def test_numbers_that_no_double_holds_come_up_in_every_field_of_numbers(messages: list[HostileMessage]) -> None:
    parked = [each for each in messages if each.fate == "parked"]
    written = {text.decode() for each in parked for text in NUMBER.findall(each.body)}
    assert written >= set(HUGE)
    fields = {each.why.partition(" is ")[0] for each in parked if NUMBER.search(each.body)}
    assert fields >= {"amount", "deadline_s", "price", "quantity", "stock", "uses_max", "wait_s"}


def test_what_they_are_made_from_can_be_read() -> None:
    for seed in range(100):
        _, key, sent = command(Random(seed))
        [found] = decode(json.dumps(sent).encode(), Origin("commands", key, SINGLE), FACTS)
        assert isinstance(found, Message), found
