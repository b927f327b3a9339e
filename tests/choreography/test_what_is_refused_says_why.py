"""A mistake is answered with its reason, has no effect, and holds up nobody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from client.client import Client, Sent
from client.errors import CommandRefused, NotAllowed
from client.tap import tap
from contracts.base import COINS_MAX
from contracts.commands import CreditAccount, PlaceOrder, PutItem
from tests.choreography.conftest import World


async def test_an_unknown_account_cannot_buy(world: World) -> None:
    item = await world.goods(20, stock=1)
    order = await world.client.place_order(f"nobody-{uuid4().hex}", item)
    assert (await world.client.wait_for_order(order.id)).reason == "unknown_account"


async def test_an_unknown_account_cannot_redeem_and_the_use_is_given_back(world: World) -> None:
    code = await world.code(uses_max=1)
    redemption = await world.client.redeem_promo(f"nobody-{uuid4().hex}", code)
    assert (await world.client.wait_for_redemption(redemption.id)).reason == "unknown_account"
    account = await world.account(50)
    again = await world.client.redeem_promo(account, code)
    assert (await world.client.wait_for_redemption(again.id)).state == "redeemed"


async def test_an_unknown_account_cannot_be_credited(world: World) -> None:
    nobody = f"nobody-{uuid4().hex}"
    sent = await world.client.credit(nobody, 5)
    answer = await world.client.wait_for_operation(nobody, sent.id)
    assert (answer.state, answer.reason) == ("refused", "unknown_account")


async def test_a_code_is_used_once_by_each_account_and_not_beyond_its_limit(world: World) -> None:
    code = await world.code(uses_max=2)
    accounts = [await world.account(10) for _ in range(3)]
    reasons = []
    for account in (accounts[0], accounts[0], accounts[1], accounts[2]):
        sent = await world.client.redeem_promo(account, code)
        reasons.append((await world.client.wait_for_redemption(sent.id)).reason)
    assert reasons == [None, "already_redeemed", None, "code_not_accepted"]


async def test_an_unknown_code_is_refused(world: World) -> None:
    sent = await world.client.redeem_promo(await world.account(10), "no-such-code")
    assert (await world.client.wait_for_redemption(sent.id)).reason == "code_not_accepted"


async def test_a_balance_cannot_grow_beyond_what_every_reader_keeps_exact(world: World) -> None:
    account = await world.account(COINS_MAX)
    sent = await world.client.credit(account, 1)
    assert (await world.client.wait_for_operation(account, sent.id)).reason == "balance_limit"
    assert await world.coins(account) == COINS_MAX


async def test_an_id_is_good_for_one_command(world: World) -> None:
    account = await world.account(10)
    sent = await world.client.credit(account, 5)
    await world.client.wait_for_operation(account, sent.id)
    other = await world.client.credit(account, 6, credit_id=sent.id, after=())
    with pytest.raises(CommandRefused, match="use a new id"):
        await world.client.outcome(other)
    assert await world.coins(account) == 15


async def test_the_same_command_again_has_one_effect_and_the_same_answer(world: World) -> None:
    account, item, code = await world.account(50), await world.goods(20, stock=9), await world.code()
    credit, order, redemption = uuid4(), uuid4(), uuid4()
    sends: list[Callable[[], Awaitable[Sent]]] = [
        lambda: world.client.credit(account, 5, credit_id=credit, after=()),
        lambda: world.client.place_order(account, item, order_id=order, after=()),
        lambda: world.client.redeem_promo(account, code, redemption_id=redemption, after=()),
    ]
    for send in sends:
        for _ in range(3):
            await world.client.outcome(await send())
        await world.client.wait_for_operation(account, (await send()).id)
    assert (await world.client.wait_for_order(order)).state == "completed"
    assert (await world.client.wait_for_redemption(redemption)).state == "redeemed"
    assert await world.coins(account) == 70


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (CreditAccount.model_construct(credit_id=uuid4(), account_id="a", amount=-1, after=()), "amount"),
        (CreditAccount.model_construct(credit_id=uuid4(), account_id="a", amount="ten", after=()), "amount"),
        (CreditAccount.model_construct(credit_id=uuid4(), account_id="not a name!", amount=1, after=()), "account_id"),
        (PlaceOrder.model_construct(order_id=uuid4(), account_id="a", item="x", quantity=0, after=()), "quantity"),
    ],
)
async def test_a_malformed_command_is_parked_with_the_field_named(
    world: World, command: CreditAccount | PlaceOrder, field: str
) -> None:
    with pytest.raises(CommandRefused, match=field):
        await world.client.outcome(await world.client.send(command))


async def test_a_client_may_not_do_what_an_operator_may(world: World) -> None:
    with pytest.raises(NotAllowed):
        await world.client.send(PutItem(item="x", price=1))


async def test_a_client_may_not_read_what_is_announced(environment: dict[str, str]) -> None:
    async with Client(environment["HOLDFAST_AMQP_URL"]) as client:
        with pytest.raises(NotAllowed):
            async with tap(client.connection):
                pass
