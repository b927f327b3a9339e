"""A command names the account's unanswered commands, and never one that is to come after it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from client.client import Client, Sent
from client.recent import REMEMBERED_S, Earlier, Recent, elders, joined
from contracts.base import AFTER_MAX
from contracts.commands import CreditAccount, PlaceOrder
from contracts.queries import AccountView, OperationView, OrderView, RedemptionView
from holdfast.delivery.queries import OutcomeView
from holdfast.delivery.words import Contract
from holdfast.entities.words import PendingView

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
    known = [Earlier(UUID(int=number), (), float(number)) for number in range(AFTER_MAX + 40)]
    assert elders(known, uuid4(), float(len(known))) == tuple(each.id for each in known[-AFTER_MAX:])


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
        recent.follow(f"account-{number}", uuid4(), None, number * REMEMBERED_S / 10)
    assert len(recent._accounts) <= 11
    recent.follow("alice", A, None, REMEMBERED_S * 100)
    recent.forget("alice", A)
    assert not recent._accounts


def test_a_client_fills_in_after_only_where_asked() -> None:
    client = Client("amqp://client:secret@127.0.0.1:1/nowhere")
    credit = CreditAccount(credit_id=A, account_id="alice", amount=5)
    order = PlaceOrder(order_id=B, account_id="alice", item="book")
    assert client._follow(credit, True) == credit
    assert client._follow(order, False) == order
    filled = client._follow(order.model_copy(update={"order_id": C}), True)
    assert isinstance(filled, PlaceOrder)
    assert filled.after == (A, B)


def operation(state: str) -> OperationView:
    return OperationView(
        account_id="alice", operation_id=A, kind="credit", state=state, size=5, added=None, reason=None
    )


def order(state: str) -> OrderView:
    return OrderView.model_validate(
        {**dict.fromkeys(OrderView.model_fields), "order_id": A, "account_id": "alice", "state": state}
    )


def redemption(state: str) -> RedemptionView:
    return RedemptionView.model_validate(
        {**dict.fromkeys(RedemptionView.model_fields), "redemption_id": A, "account_id": "alice", "state": state}
    )


def account(state: str) -> AccountView:
    pending = PendingView(
        operation_id=A, kind="credit", state=state, size=5, deadline=None, waits_for=(), waits_until=None
    )
    at = datetime(2030, 1, 1, tzinfo=UTC)
    return AccountView(account_id="alice", balance=0, available=0, possible=5, pending=(pending,), now=at)


@pytest.mark.parametrize(
    "view",
    [
        *(operation(state) for state in ("waiting", "accepted", "reserved", "refused", "captured", "credited")),
        *(order(state) for state in ("reserved", "confirmed", "completed", "failed", "cancelled")),
        *(redemption(state) for state in ("waiting", "redeemed", "refused")),
        *(account(state) for state in ("waiting", "accepted", "reserved", "credited")),
    ],
    ids=lambda view: f"{type(view).__name__} {getattr(view, 'state', '')}",
)
def test_what_has_joined_or_has_no_effect_is_not_named_any_more(view: Contract) -> None:
    assert joined(view) == [("alice", A)]
    client = Client("amqp://client:secret@127.0.0.1:1/nowhere")
    client._follow(PlaceOrder(order_id=A, account_id="alice", item="book"), True)
    client._learn(view)
    later = client._follow(PlaceOrder(order_id=B, account_id="alice", item="book"), True)
    assert isinstance(later, PlaceOrder)
    assert later.after == ()


@pytest.mark.parametrize(
    "view",
    [operation("outside"), order("placed"), redemption("claimed"), account("outside"), OutcomeView(outcome="handled")],
    ids=lambda view: f"{type(view).__name__} {getattr(view, 'state', '')}",
)
def test_what_may_not_have_joined_is_named_still(view: Contract) -> None:
    assert joined(view) == []


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (CreditAccount(credit_id=A, account_id="alice", amount=5), ()),
        (CreditAccount(credit_id=A, account_id="alice", amount=5, after=(D,)), (A,)),
        (PlaceOrder(order_id=A, account_id="alice", item="book"), (A,)),
    ],
    ids=["it has joined", "it may stand outside", "its service has it, its account may not"],
)
async def test_a_command_that_was_handled_is_named_unless_it_has_joined(
    command: CreditAccount | PlaceOrder, named: tuple[UUID, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client("amqp://client:secret@127.0.0.1:1/nowhere")

    async def handled(*_: object) -> OutcomeView:
        return OutcomeView(outcome="handled")

    monkeypatch.setattr(client.ask, "outcome", handled)
    client._follow(command, False)
    await client.outcome(Sent(A, uuid4(), command))
    later = client._follow(PlaceOrder(order_id=B, account_id="alice", item="book"), True)
    assert isinstance(later, PlaceOrder)
    assert later.after == named


async def test_credits_name_nothing_and_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client("amqp://client:secret@127.0.0.1:1/nowhere")

    async def publish(*_: object) -> None:
        pass

    monkeypatch.setattr(client.connection, "publish", publish)
    order = await client.place_order("alice", "book")
    credit = await client.credit("alice", 5)
    chosen = await client.credit("alice", 5, after=[order.id])
    promo = await client.redeem_promo("alice", "X")
    assert [getattr(each.command, "after", None) for each in (order, credit, chosen, promo)] == [
        (),
        (),
        (order.id,),
        (order.id, credit.id, chosen.id),
    ]
