"""A command names the account's recent commands, and never one that is to come after it."""

from __future__ import annotations

from uuid import UUID, uuid4

from client.client import Client
from client.recent import REMEMBERED_S, Earlier, Recent, elders
from contracts.base import AFTER_MAX
from contracts.commands import CreditAccount, PlaceOrder

A, B, C, D = (UUID(int=number) for number in range(1, 5))


def test_each_command_names_those_before_it_in_their_order() -> None:
    recent = Recent()
    assert recent.follow("alice", A, None, 0.0) == ()
    assert recent.follow("alice", B, None, 1.0) == (A,)
    assert recent.follow("alice", C, None, 2.0) == (A, B)


def test_other_accounts_are_not_named() -> None:
    recent = Recent()
    recent.follow("bob", A, None, 0.0)
    assert recent.follow("alice", B, None, 1.0) == ()


def test_what_the_caller_gives_stays_and_is_remembered() -> None:
    recent = Recent()
    recent.follow("alice", A, None, 0.0)
    assert recent.follow("alice", B, (), 1.0) == ()
    assert recent.follow("alice", C, (D,), 2.0) == (D,)
    assert recent.follow("alice", uuid4(), None, 3.0) == (A, B, C)


def test_at_most_the_latest_are_named() -> None:
    known = [Earlier(UUID(int=number), (), float(number)) for number in range(40)]
    assert elders(known, uuid4(), 40.0) == tuple(each.id for each in known[-AFTER_MAX:])


def test_old_commands_are_forgotten() -> None:
    recent = Recent()
    recent.follow("alice", A, None, 0.0)
    assert recent.follow("alice", B, None, REMEMBERED_S + 1) == ()


def test_a_forgotten_command_is_not_named() -> None:
    recent = Recent()
    recent.follow("alice", A, None, 0.0)
    recent.forget("alice", A)
    assert recent.follow("alice", B, None, 1.0) == ()


def test_an_order_does_not_name_the_promo_that_was_sent_first_but_after_it() -> None:
    recent = Recent()
    recent.follow("alice", A, (D,), 0.0)
    assert recent.follow("alice", D, None, 1.0) == ()


def test_nor_what_comes_after_that_promo() -> None:
    recent = Recent()
    recent.follow("alice", A, (D,), 0.0)
    recent.follow("alice", B, None, 1.0)
    assert recent.follow("alice", D, None, 2.0) == ()


def test_sent_again_a_command_names_neither_itself_nor_its_successors() -> None:
    recent = Recent()
    recent.follow("alice", A, None, 0.0)
    recent.follow("alice", B, None, 1.0)
    recent.follow("alice", C, None, 2.0)
    assert recent.follow("alice", B, None, 3.0) == (A,)


def test_accounts_without_recent_commands_take_no_memory() -> None:
    recent = Recent()
    for number in range(100):
        recent.follow(f"account-{number}", uuid4(), None, float(number))
    assert len(recent._accounts) <= REMEMBERED_S + 1


def test_a_client_fills_in_after_only_where_asked() -> None:
    client = Client("amqp://client:secret@127.0.0.1:1/nowhere")
    credit = CreditAccount(credit_id=A, account_id="alice", amount=5)
    order = PlaceOrder(order_id=B, account_id="alice", item="book")
    assert client._follow(credit, True) == credit
    assert client._follow(order, False) == order
    filled = client._follow(order.model_copy(update={"order_id": C}), True)
    assert isinstance(filled, PlaceOrder)
    assert filled.after == (A, B)
