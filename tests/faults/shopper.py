"""One account's owner: opens it, gives a few commands without waiting for what becomes of them, then sees how each
ended and that the balance is what those endings make of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID, uuid4

from client.errors import StillOpen, Unreachable
from client.waiting import until
from contracts.commands import CreditAccount, PlaceOrder, RedeemPromo
from contracts.queries import AccountView

if TYPE_CHECKING:
    from tests.faults.traffic import Traffic

View = TypeVar("View")

COINS = 100
COMMANDS = (4, 8)
HASTE_S = 0.05
RESEND_S = 2.0
WAIT_S = 600.0
"""The traffic says when it is too late, not the shopper."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a saga ended, as its account's owner was told. `what`: credit, order or redemption. `state`: of that.
    `added`: the coins that it added.
    """

    what: str
    account: str
    state: str
    added: int


class Shopper:
    """The shopper with this number in the traffic."""

    def __init__(self, traffic: Traffic, number: int) -> None:
        self._traffic = traffic
        self._random = random.Random(f"{traffic.seed}/{number}")
        self.account = f"{traffic.name}-{number}"
        self._again: dict[UUID, Callable[[], Awaitable[object]]] = {}
        self._credits: dict[UUID, int] = {}
        self._orders: list[UUID] = []
        self._redemptions: list[UUID] = []
        self._errands: list[asyncio.Task[None]] = []

    async def shop(self) -> None:
        """Everything, from opening the account to the last look at it."""
        await self._open()
        await self._credit(COINS)
        try:
            for _ in range(self._random.randint(*COMMANDS)):
                await self._command()
                await asyncio.sleep(self._random.random() * HASTE_S)
            await asyncio.gather(*self._errands)
        finally:
            for errand in self._errands:
                errand.cancel()
        await self._look_back()

    async def _open(self) -> None:
        await self._traffic.until_confirmed(lambda: self._traffic.client.open_account(self.account))

    async def _command(self) -> None:
        shop, draw = self._traffic.shop, self._random
        match draw.choices(range(8), (25, 10, 20, 10, 15, 8, 6, 6))[0]:
            case 0:
                await self._buy(shop.plenty, draw.randint(1, 3))
            case 1:
                await self._buy(shop.scarce, draw.randint(1, 2))
            case 2:
                await self._buy_to_order()
            case 3:
                await self._cancel()
            case 4:
                await self._redeem(draw.choice(shop.codes))
            case 5:
                await self._credit(draw.randint(1, 20))
            case 6:
                await self._publish_twice()
            case _:
                await self._publish_backwards()

    async def _credit(self, amount: int) -> None:
        credit_id, client = uuid4(), self._traffic.client
        self._credits[credit_id] = amount
        await self._send("credit", credit_id, lambda: client.credit(self.account, amount, credit_id=credit_id))

    async def _buy(self, item: str, quantity: int, deadline_s: float = 8.0) -> UUID:
        order_id, client = uuid4(), self._traffic.client
        self._orders.append(order_id)
        await self._send(
            "order",
            order_id,
            lambda: client.place_order(self.account, item, quantity, deadline_s=deadline_s, order_id=order_id),
        )
        return order_id

    async def _buy_to_order(self) -> None:
        """The warehouse accepts, rejects, or never answers."""
        deadline_s = float(self._random.randint(3, 8))
        order_id = await self._buy(self._traffic.shop.to_order, 1, deadline_s)
        answer = self._random.choices(("accept", "reject", "nothing"), (5, 3, 1))[0]
        if answer != "nothing":
            pause_s = self._random.random()
            self._errands.append(asyncio.create_task(self._fulfil(order_id, answer == "accept", pause_s)))

    async def _fulfil(self, order_id: UUID, accept: bool, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        operator = self._traffic.operator
        await self._traffic.until_confirmed(
            lambda: operator.accept_fulfilment(order_id) if accept else operator.reject_fulfilment(order_id)
        )

    async def _cancel(self) -> None:
        if self._orders:
            order_id = self._random.choice(self._orders)
            client = self._traffic.client
            await self._traffic.until_confirmed(lambda: client.cancel_order(self.account, order_id))

    async def _redeem(self, code: str) -> None:
        redemption_id, client = uuid4(), self._traffic.client
        self._redemptions.append(redemption_id)
        await self._send(
            "redemption",
            redemption_id,
            lambda: client.redeem_promo(self.account, code, wait_s=8.0, redemption_id=redemption_id),
        )

    async def _publish_twice(self) -> None:
        """The same message goes out again, as after a confirm that was lost."""
        order_id, item = uuid4(), self._traffic.shop.plenty
        self._orders.append(order_id)
        order = PlaceOrder(order_id=order_id, account_id=self.account, item=item, deadline_s=8.0)
        await self._send("order", order_id, lambda: self._traffic.publish(order, times=2))

    async def _publish_backwards(self) -> None:
        """A redemption comes before the credit that it names, so that the account keeps the credit's place."""
        credit_id, redemption_id, amount = uuid4(), uuid4(), self._random.randint(1, 20)
        self._credits[credit_id] = amount
        self._redemptions.append(redemption_id)
        redeem = RedeemPromo(
            redemption_id=redemption_id,
            account_id=self.account,
            code=self._random.choice(self._traffic.shop.codes),
            wait_s=8.0,
            after=(credit_id,),
        )
        credit = CreditAccount(credit_id=credit_id, account_id=self.account, amount=amount)
        await self._send("redemption", redemption_id, lambda: self._traffic.publish(redeem))
        await self._send("credit", credit_id, lambda: self._traffic.publish(credit))

    async def _send(self, what: str, saga: UUID, send: Callable[[], Awaitable[object]]) -> None:
        """Begin a saga."""
        self._traffic.open[saga] = what
        self._again[saga] = send
        await self._traffic.until_confirmed(send)

    async def _look_back(self) -> None:
        """See how each saga ended, and that the account holds what those endings make."""
        client, balance = self._traffic.client, 0
        for credit_id, amount in self._credits.items():
            operation = await self._outcome(credit_id, partial(client.wait_for_operation, self.account, credit_id))
            balance += amount if operation.state == "credited" else 0
            self._end(credit_id, operation.state, operation.added or 0)
        for order_id in self._orders:
            order = await self._outcome(order_id, partial(client.wait_for_order, order_id))
            spent = (order.amount or 0) if order.state == "completed" else 0
            balance -= spent
            self._end(order_id, order.state, -spent)
        for redemption_id in self._redemptions:
            redemption = await self._outcome(redemption_id, partial(client.wait_for_redemption, redemption_id))
            balance += redemption.added or 0
            self._end(redemption_id, redemption.state, redemption.added or 0)
        await self._expect(balance)

    async def _outcome(self, saga: UUID, wait: Callable[[float], Awaitable[View]]) -> View:
        """How the saga ended, for whoever waits long enough."""
        while self._traffic.resends:
            try:
                return await wait(RESEND_S)
            except StillOpen as error:
                if error.view is None:
                    await self._traffic.until_confirmed(self._again[saga])
            except Unreachable:
                continue
        return await wait(WAIT_S)

    def _end(self, saga: UUID, state: str, added: int) -> None:
        self._traffic.told[saga] = Ending(self._traffic.open.pop(saga), self.account, state, added)

    async def _expect(self, balance: int) -> None:
        """An operation may still be pending for as long as the end of its saga is on its way."""

        async def look() -> AccountView | None:
            view = await self._traffic.client.ask.account(self.account)
            if view is None and self._traffic.resends:
                await self._open()
            return view

        view = await until(look, lambda seen: not seen.pending, WAIT_S, f"account {self.account}")
        if view.balance != balance:
            self._traffic.wrong.append(f"{self.account}: the answers make {balance} coins, it has {view.balance}")
