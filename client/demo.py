"""`holdfast demo`: the problem and its right answers, played through the broker only, with a live timeline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

from rich.console import Console

from client.audit import audit
from client.commands_operate import render_audit
from client.session import Failed
from client.settings import Settings
from client.stage import Stage, on_stage
from contracts.events import (
    CoinsReleased,
    FulfilmentRequested,
    OperationAccepted,
    OperationWaiting,
    OrderCancelled,
    OrderCompleted,
    OrderFailed,
    OrderWaiting,
    PromoRedeemed,
    PromoRefused,
    PromoWaiting,
)

COINS, PRICE, FACTOR = 50, 20, 2
WITH_ORDER, WITHOUT_ORDER = (COINS - PRICE) * FACTOR, COINS * FACTOR
WAIT_S = 1.5
"""How long the redemption that is withdrawn may wait, in seconds."""


async def buy_and_double(stage: Stage, account: str) -> tuple[UUID, UUID]:
    """Order, and redeem right behind it; returns both ids, once the doubling waits and the goods are asked for."""
    order = await stage.buyer.place_order(account, await stage.item("lamp", PRICE))
    promo = await stage.buyer.redeem_promo(account, await stage.code("DOUBLE", FACTOR))
    await stage.happens(OperationAccepted, promo.id)
    await stage.happens(FulfilmentRequested, order.id)
    await stage.say_what_waits(account)
    return order.id, promo.id


async def order_fails(stage: Stage) -> int:
    """The order is rejected after the doubling was sent: the doubling must double all coins."""
    account = await stage.new_account("fails", COINS)
    order_id, promo_id = await buy_and_double(stage, account)
    await stage.operator.reject_fulfilment(order_id, "broken on the way")
    await stage.happens(OrderFailed, order_id)
    await stage.happens(PromoRedeemed, promo_id)
    return await stage.balance(account)


async def order_succeeds(stage: Stage) -> int:
    """The order goes through: the doubling must double what it left."""
    account = await stage.new_account("succeeds", COINS)
    order_id, promo_id = await buy_and_double(stage, account)
    await stage.operator.accept_fulfilment(order_id)
    await stage.happens(OrderCompleted, order_id)
    await stage.happens(PromoRedeemed, promo_id)
    return await stage.balance(account)


async def promo_overtakes(stage: Stage) -> int:
    """The doubling is there before the order that it names: it joins behind it."""
    account = await stage.new_account("overtakes", COINS)
    order_id = uuid4()
    promo = await stage.buyer.redeem_promo(account, await stage.code("DOUBLE", FACTOR), after=[order_id])
    waiting = await stage.happens(OperationWaiting, promo.id)
    stage.expect("what the doubling waits for", waiting.waits_for, (order_id,))
    await stage.say_what_waits(account)
    await stage.buyer.place_order(account, await stage.item("lamp", PRICE), order_id=order_id, after=[])
    await stage.happens(OperationAccepted, promo.id)
    await stage.happens(FulfilmentRequested, order_id)
    await stage.operator.accept_fulfilment(order_id)
    await stage.happens(OrderCompleted, order_id)
    await stage.happens(PromoRedeemed, promo.id)
    return await stage.balance(account)


async def order_is_cancelled(stage: Stage) -> int:
    """The buyer takes the order back."""
    account = await stage.new_account("cancelled", COINS)
    order_id, promo_id = await buy_and_double(stage, account)
    await stage.buyer.cancel_order(account, order_id)
    await stage.happens(OrderCancelled, order_id)
    await stage.happens(PromoRedeemed, promo_id)
    return await stage.balance(account)


async def what_is_certain_is_spent(stage: Stage) -> int:
    """A doubling that is accepted raises what is surely there, and that can be spent before its size is known."""
    account = await stage.new_account("spends", COINS)
    house = await stage.item("house", WITH_ORDER)
    order = await stage.buyer.place_order(account, await stage.item("lamp", PRICE))
    await stage.happens(FulfilmentRequested, order.id)
    before = await stage.say_what_waits(account)
    stage.expect("surely there before the doubling", before.available, COINS - PRICE)
    promo = await stage.buyer.redeem_promo(account, await stage.code("DOUBLE", FACTOR))
    await stage.happens(OperationAccepted, promo.id)
    after = await stage.say_what_waits(account)
    stage.expect("surely there behind the doubling", after.available, WITH_ORDER)
    spending = await stage.buyer.place_order(account, house)
    await stage.happens(FulfilmentRequested, spending.id)
    waiting = await stage.say_what_waits(account)
    stage.expect("the doubling still waits", promo.id in {each.operation_id for each in waiting.pending}, True)
    for order_id in (spending.id, order.id):
        await stage.operator.accept_fulfilment(order_id)
        await stage.happens(OrderCompleted, order_id)
    redeemed = await stage.happens(PromoRedeemed, promo.id)
    stage.expect("what the doubling added", redeemed.added, COINS - PRICE)
    return await stage.balance(account)


async def second_buyer_gets_the_piece(stage: Stage) -> int:
    """Two order the last piece: the second waits while the first may still give it back, and gets it."""
    sword = await stage.item("sword", PRICE, stock=1)
    first, second = await stage.new_account("buyer", COINS), await stage.new_account("rival", COINS)
    order = await stage.buyer.place_order(first, sword)
    await stage.happens(FulfilmentRequested, order.id)
    rival = await stage.buyer.place_order(second, sword)
    waiting = await stage.happens(OrderWaiting, rival.id)
    stage.expect("what the second buyer waits for", waiting.waits_for, (order.id,))
    await stage.say_who_waits(sword)
    await stage.operator.reject_fulfilment(order.id, "broken on the way")
    await stage.happens(CoinsReleased, order.id)
    await stage.happens(FulfilmentRequested, rival.id)
    await stage.operator.accept_fulfilment(rival.id)
    await stage.happens(OrderCompleted, rival.id)
    stage.expect("coins of the first buyer", await stage.balance(first), COINS)
    return await stage.balance(second)


async def second_redemption_gets_the_use(stage: Stage) -> int:
    """A code with one use is redeemed twice: the second waits behind the first, and the first is withdrawn."""
    first, second = await stage.new_account("first", COINS), await stage.new_account("second", COINS)
    once = await stage.code("ONCE", FACTOR, uses_max=1)
    order = await stage.buyer.place_order(first, await stage.item("lamp", PRICE))
    await stage.happens(FulfilmentRequested, order.id)
    withdrawn = await stage.buyer.redeem_promo(first, once, wait_s=WAIT_S)
    await stage.happens(OperationWaiting, withdrawn.id)
    promo = await stage.buyer.redeem_promo(second, once)
    waiting = await stage.happens(PromoWaiting, promo.id)
    stage.expect("what the second redemption waits for", waiting.waits_for, (withdrawn.id,))
    refused = await stage.happens(PromoRefused, withdrawn.id)
    stage.expect("why the first was refused", refused.reason, "wait_deadline_passed")
    await stage.happens(PromoRedeemed, promo.id)
    await stage.operator.reject_fulfilment(order.id)
    await stage.happens(CoinsReleased, order.id)
    stage.expect("coins of the first", await stage.balance(first), COINS)
    return await stage.balance(second)


Scene = Callable[[Stage], Awaitable[int]]
SCENES: tuple[tuple[str, Scene, int], ...] = (
    (f"{COINS} coins, order for {PRICE}, x{FACTOR} right behind; the order fails", order_fails, WITHOUT_ORDER),
    ("the same, and the order succeeds", order_succeeds, WITH_ORDER),
    ("the promo is sent first, but `after` the order", promo_overtakes, WITH_ORDER),
    ("the order is cancelled", order_is_cancelled, WITHOUT_ORDER),
    (f"the doubling is accepted: {WITH_ORDER} coins are certain, and spent at once", what_is_certain_is_spent, 0),
    ("two order the last sword, and the first is not fulfilled", second_buyer_gets_the_piece, COINS - PRICE),
    ("a code with one use is redeemed twice", second_redemption_gets_the_use, WITHOUT_ORDER),
)


async def play() -> None:
    """Play all scenes, audit, and end with the line that says the balances. Raises `Failed` if anything is wrong."""
    settings, console = Settings.read(), Console(highlight=False)
    audit_url = settings.required("audit_database_url")
    balances: dict[Scene, int] = {}
    async with on_stage(settings, console) as stage:
        for title, scene, coins in SCENES:
            console.rule(title, align="left")
            balances[scene] = await scene(stage)
            stage.expect(title, balances[scene], coins)
    console.rule("audit", align="left")
    report = await audit(audit_url, settings.tls_ca_file)
    render_audit(console, report)
    fails, succeeds = balances[order_fails], balances[order_succeeds]
    print(f"holdfast demo: order fails -> {fails} coins, order succeeds -> {succeeds} coins", flush=True)
    if stage.wrong or report.findings:
        raise Failed("; ".join(stage.wrong) or "the audit found something")
