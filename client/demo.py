"""`holdfast demo`: the problem and its right answers, played through the broker only, with a live timeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID, uuid4

from rich.console import Console

from client.audit import audit
from client.client import Client
from client.commands_account import what
from client.commands_operate import render_audit
from client.errors import Unreachable
from client.session import Failed
from client.settings import Settings
from client.tap import Seen, tap
from client.timeline import line, short
from contracts.base import Fact
from contracts.roles import Multiply
from contracts.events import (
    CoinsCredited,
    FulfilmentRequested,
    OperationWaiting,
    OrderCancelled,
    OrderCompleted,
    OrderFailed,
    PromoRedeemed,
)

COINS, PRICE, FACTOR = 50, 20, 2
EVENT_S_MAX = 20.0
"""Each event of the demo comes within milliseconds; this long is waited before it counts as missing."""

FactT = TypeVar("FactT", bound=Fact)


class Stage:
    """Where the demo plays: a buyer and an operator on the broker, and everything that is announced, as it happens."""

    def __init__(self, buyer: Client, operator: Client, passing: asyncio.Queue[Seen | None], console: Console) -> None:
        self.buyer, self.operator, self.console = buyer, operator, console
        self.run = uuid4().hex[:6]
        self.item, self.code = f"lamp-{self.run}", f"DOUBLE-{self.run}"
        self._passing = passing
        self._accounts: dict[str, str] = {}
        self._happened: dict[tuple[str, str], asyncio.Future[Fact]] = {}
        self._lost = False

    async def follow(self) -> None:
        """Print what belongs to this run as it happens, and tell those who wait for it."""
        began_s = asyncio.get_running_loop().time()
        while (seen := await self._passing.get()) is not None:
            fact = seen.fact
            account: str | None = getattr(fact, "account_id", None) or self._accounts.get(fact.saga)
            if account is None and self.run in fact.subject:
                account = "-"
            if account is None or (account != "-" and not account.endswith(self.run)):
                continue
            self._accounts[fact.saga] = account
            self.console.print(line(seen.at_s - began_s, account, fact), soft_wrap=True)
            future = self._future(fact.type, fact.saga)
            if not future.done():
                future.set_result(fact)
        self._lost = True

    async def happens(self, kind: type[FactT], saga: UUID | str) -> FactT:
        """Wait until this event of this saga has gone by. Raises `Unreachable` if it doesn't within `EVENT_S_MAX`."""
        try:
            async with asyncio.timeout(EVENT_S_MAX):
                fact = await asyncio.shield(self._future(kind.type, str(saga)))
        except TimeoutError:
            why = "the connection to the broker was lost" if self._lost else "see `holdfast status`"
            raise Unreachable(f"no {kind.type} of {saga} within {EVENT_S_MAX:g} s; {why}") from None
        assert isinstance(fact, kind)
        return fact

    async def new_account(self, scene: str) -> str:
        """An account with the coins that the story begins with."""
        account = f"{scene}-{self.run}"
        await self.buyer.open_account(account)
        credit = await self.buyer.credit(account, COINS)
        await self.happens(CoinsCredited, credit.id)
        return account

    async def buy_and_double(self, account: str) -> tuple[UUID, UUID]:
        """Order, and redeem right behind it; returns both ids, once the doubling waits and the goods are asked for."""
        order = await self.buyer.place_order(account, self.item)
        promo = await self.buyer.redeem_promo(account, self.code)
        await self.in_flight(account, order.id, promo.id)
        return order.id, promo.id

    async def in_flight(self, account: str, order_id: UUID, redemption_id: UUID) -> None:
        """Wait until the doubling waits and the order is with its warehouse, then say what waits for what."""
        await self.happens(OperationWaiting, redemption_id)
        await self.happens(FulfilmentRequested, order_id)
        view = await self.buyer.ask.account(account)
        pending = {each.operation_id: each for each in view.pending} if view else {}
        for each in pending.values():
            if view and each.state == "waiting" and each.waits_until:
                left_s = (each.waits_until - view.now).total_seconds()
                ahead = ", ".join(f"{what(pending.get(id_))} of order {short(id_)}" for id_ in each.waits_for)
                self.console.print(f"           {what(each)} waits for {ahead}, at most {left_s:.0f} s", style="bold")

    async def balance(self, account: str) -> int:
        """The balance as the user service answers it. Raises `Failed` if something is pending still."""
        view = await self.buyer.ask.account(account)
        if view is None or view.pending:
            raise Failed(f"account {account} has not settled: {view}")
        self.console.print(f"           {account} has {view.balance} coins", style="bold")
        return view.balance

    def _future(self, type_: str, saga: str) -> asyncio.Future[Fact]:
        return self._happened.setdefault((type_, saga), asyncio.get_running_loop().create_future())


async def order_fails(stage: Stage) -> int:
    """The order is rejected after the doubling was sent: the doubling must double all coins."""
    account = await stage.new_account("fails")
    order_id, promo_id = await stage.buy_and_double(account)
    await stage.operator.reject_fulfilment(order_id, "broken on the way")
    await stage.happens(OrderFailed, order_id)
    await stage.happens(PromoRedeemed, promo_id)
    return await stage.balance(account)


async def order_succeeds(stage: Stage) -> int:
    """The order goes through: the doubling must double what it left."""
    account = await stage.new_account("succeeds")
    order_id, promo_id = await stage.buy_and_double(account)
    await stage.operator.accept_fulfilment(order_id)
    await stage.happens(OrderCompleted, order_id)
    await stage.happens(PromoRedeemed, promo_id)
    return await stage.balance(account)


async def promo_overtakes(stage: Stage) -> int:
    """The doubling is there before the order it was told to come after: the order keeps its place."""
    account = await stage.new_account("overtakes")
    order_id = uuid4()
    promo = await stage.buyer.redeem_promo(account, stage.code, after=[order_id])
    await stage.happens(OperationWaiting, promo.id)
    await stage.buyer.place_order(account, stage.item, order_id=order_id)
    await stage.in_flight(account, order_id, promo.id)
    await stage.operator.accept_fulfilment(order_id)
    await stage.happens(OrderCompleted, order_id)
    await stage.happens(PromoRedeemed, promo.id)
    return await stage.balance(account)


async def order_is_cancelled(stage: Stage) -> int:
    """The buyer takes the order back."""
    account = await stage.new_account("cancelled")
    order_id, promo_id = await stage.buy_and_double(account)
    await stage.buyer.cancel_order(account, order_id)
    await stage.happens(OrderCancelled, order_id)
    await stage.happens(PromoRedeemed, promo_id)
    return await stage.balance(account)


Scene = Callable[[Stage], Awaitable[int]]
WITH_ORDER, WITHOUT_ORDER = (COINS - PRICE) * FACTOR, COINS * FACTOR
SCENES: tuple[tuple[str, Scene, int], ...] = (
    (f"{COINS} coins, order for {PRICE}, x{FACTOR} right behind; the order fails", order_fails, WITHOUT_ORDER),
    ("the same, and the order succeeds", order_succeeds, WITH_ORDER),
    ("the promo is sent first, but `after` the order", promo_overtakes, WITH_ORDER),
    ("the order is cancelled", order_is_cancelled, WITHOUT_ORDER),
)


async def play() -> None:
    """Play all scenes, audit, and end with the line that says the balances. Raises `Failed` if any is wrong."""
    settings, console = Settings.read(), Console(highlight=False)
    audit_url = settings.required("audit_database_url")
    balances: dict[Scene, int] = {}
    async with _stage(settings, console) as stage:
        item = await stage.operator.put_item(stage.item, PRICE, fulfilment="external")
        code = await stage.operator.put_promo(stage.code, Multiply(factor=FACTOR))
        await stage.operator.outcome(item)
        await stage.operator.outcome(code)
        for title, scene, _ in SCENES:
            console.rule(title, align="left")
            balances[scene] = await scene(stage)
    console.rule("audit", align="left")
    report = await audit(audit_url, settings.tls_ca_file)
    render_audit(console, report)
    wrong = [f"{t}: {balances[s]} instead of {coins} coins" for t, s, coins in SCENES if balances[s] != coins]
    fails, succeeds = balances[order_fails], balances[order_succeeds]
    print(f"holdfast demo: order fails -> {fails} coins, order succeeds -> {succeeds} coins", flush=True)
    if wrong or report.findings:
        raise Failed("; ".join(wrong) or "the audit found something")


@asynccontextmanager
async def _stage(settings: Settings, console: Console) -> AsyncIterator[Stage]:
    """Buyer and operator, connected, and the timeline running."""
    trusted = settings.tls_ca_file
    buyer = Client(settings.required("amqp_url"), name="holdfast demo (buyer)", tls_ca_file=trusted)
    operator = Client(settings.required("operator_amqp_url"), name="holdfast demo (operator)", tls_ca_file=trusted)
    async with buyer, operator, tap(operator.connection) as passing:
        stage = Stage(buyer, operator, passing, console)
        following = asyncio.create_task(stage.follow())
        try:
            yield stage
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
