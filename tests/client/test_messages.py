"""Commands that are sent together fit into messages that are read."""

from __future__ import annotations

from uuid import uuid4

import pytest
from pydantic import ValidationError

from client.client import Client
from client.messages import own_id
from client.session import in_cli_words
from contracts.commands import CreditAccount, FulfilmentRejected, OpenAccount, PlaceOrder
from holdfast.delivery.envelope import BODY_BYTES_MAX, EVENTS_MAX, encode, parts
from holdfast.delivery.words import explain

CLIENT = Client("amqp://client:secret@127.0.0.1:1/nowhere")


def test_a_few_commands_are_one_message() -> None:
    envelopes = [CLIENT._envelope(PlaceOrder(order_id=uuid4(), account_id="a", item="book")) for _ in range(50)]
    assert parts(envelopes) == [envelopes]


def test_many_commands_are_several_messages_each_small_enough() -> None:
    after = tuple(uuid4() for _ in range(40))
    order = PlaceOrder(order_id=uuid4(), account_id="a" * 64, item="b" * 64, after=after)
    envelopes = [CLIENT._envelope(order) for _ in range(2 * EVENTS_MAX)]
    found = parts(envelopes)
    assert [each for part in found for each in part] == envelopes
    assert all(len(part) <= EVENTS_MAX and len(encode(part)[1]) <= BODY_BYTES_MAX for part in found)
    assert len(found) == 3


async def test_commands_of_different_types_are_not_sent_together() -> None:
    with pytest.raises(ValueError, match="one type"):
        await CLIENT.send_together(
            [OpenAccount(account_id="a"), CreditAccount(credit_id=uuid4(), account_id="a", amount=1)]
        )


def test_what_a_command_is_about() -> None:
    order_id = uuid4()
    assert own_id(FulfilmentRejected(order_id=order_id)) == order_id
    assert own_id(OpenAccount(account_id="a")) is None


def test_complaints_use_the_names_of_the_command_line() -> None:
    with pytest.raises(ValidationError) as caught:
        PlaceOrder(order_id=uuid4(), account_id="a b", item="book", quantity=0, deadline_s=-1.0)
    said = in_cli_words(explain(caught.value))
    assert said.startswith("ACCOUNT: ")
    assert "; --quantity: " in said
    assert "; --deadline: " in said
