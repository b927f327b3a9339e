"""One account's owner: opens it, gives a few commands without waiting for what becomes of them, then sees how each
ended and that the balance is what those endings make of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from client.client import Sent
from client.errors import StillOpen, Unreachable
from client.waiting import until
from contracts.commands import CreditAccount, PlaceOrder, RedeemPromo
from contracts.queries import AccountView
from holdfast.entities.words import OperationKind
from tests.faults import gifts
from tests.faults.saga import Asked, effect_of
from tests.faults.shop import Code, Item

if TYPE_CHECKING:
    from tests.faults.traffic import Traffic

COINS = 100
COMMANDS = (4, 8)
HASTE_S = 0.05
RESEND_S = 2.0
GLANCE_S = 0.5
GLANCES = 0.3
"""After this share of commands the shopper waits a little to see how it ends, so that the next is surely sent later."""
IRREVOCABLE = 0.5
WAIT_S = 600.0
"""The traffic says when it is too late, not the shopper."""


class Shopper:
    """The shopper with this number in the traffic."""

    def __init__(self, traffic: Traffic, number: int) -> None:
        self._traffic = traffic
        self._random = random.Random(f"{traffic.seed}/{number}")
        self.account = f"{traffic.name}-{number}"
        self._again: dict[UUID, Callable[[], Awaitable[object]]] = {}
        self._orders: list[UUID] = []
        self._errands: list[asyncio.Task[None]] = []

    async def shop(self) -> None:
        """Everything, from opening the account to the last look at it."""
        await self._open()
        await self._credit(COINS)
        try:
            for _ in range(self._random.randint(*COMMANDS)):
                await self._command()
                await asyncio.sleep(self._random.random() * HASTE_S)
                if self._random.random() < GLANCES and not self._traffic.closing:
                    await self._glance()
            await self._look_back()
            await asyncio.gather(*self._errands)
        finally:
            for errand in self._errands:
                errand.cancel()

    async def _open(self) -> None:
        await self._traffic.until_confirmed(lambda: self._traffic.client.open_account(self.account))

    async def _command(self) -> None:
        shop, draw = self._traffic.shop, self._random
        match draw.choices(range(9), (25, 10, 20, 10, 15, 8, 6, 6, 12))[0]:
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
            case 7:
                await self._publish_backwards()
            case _:
                await self._give(draw.randint(1, 30))

    async def _credit(self, amount: int) -> None:
        credit_id, client = uuid4(), self._traffic.client
        await self._send(credit_id, "credit", amount, lambda: client.credit(self.account, amount, credit_id=credit_id))

    async def _buy(self, item: Item, quantity: int, deadline_s: float = 8.0) -> UUID:
        order_id, client = uuid4(), self._traffic.client
        self._orders.append(order_id)
        await self._send(
            order_id,
            "reserve",
            item.price * quantity,
            lambda: client.place_order(self.account, item.name, quantity, deadline_s=deadline_s, order_id=order_id),
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
        operator, resends = self._traffic.operator, self._traffic.resends
        while not resends or await self._awaits_goods(order_id):
            await self._traffic.until_confirmed(
                lambda: operator.accept_fulfilment(order_id) if accept else operator.reject_fulfilment(order_id)
            )
            if not resends:
                return
            await asyncio.sleep(RESEND_S)

    async def _awaits_goods(self, order_id: UUID) -> bool:
        """Whether the order still needs its answer, once it is known: nobody has goods for one that is not."""
        ask = self._traffic.client.ask
        order = await until(lambda: ask.order(order_id), lambda known: True, WAIT_S, f"order {order_id}")
        return order.state in ("placed", "reserved")

    async def _cancel(self) -> None:
        if self._orders:
            order_id = self._random.choice(self._orders)
            client = self._traffic.client
            await self._traffic.until_confirmed(lambda: client.cancel_order(self.account, order_id))

    async def _redeem(self, code: Code) -> None:
        """Now and then for good: nothing withdraws it, however long it waits. Others must not wait for its use then."""
        redemption_id, client = uuid4(), self._traffic.client
        wait_s = None if code.uses_max is None and self._random.random() < IRREVOCABLE else 8.0
        await self._send(
            redemption_id,
            *effect_of(code.effect),
            lambda: client.redeem_promo(self.account, code.name, wait_s=wait_s, redemption_id=redemption_id),
        )

    async def _give(self, amount: int) -> None:
        """Give coins away. Not where messages are thrown away: a receiver keeps the room for a gift for long."""
        if not self._traffic.resends:
            gift_id, traffic = uuid4(), self._traffic
            send = partial(gifts.give, traffic.client, self.account, traffic.charity, amount, gift_id, 8.0)
            await self._send(gift_id, "reserve", amount, send, is_gift=True)

    async def _publish_twice(self) -> None:
        """The same message goes out again, as after a confirm that was lost."""
        order_id, item = uuid4(), self._traffic.shop.plenty
        self._orders.append(order_id)
        order = PlaceOrder(order_id=order_id, account_id=self.account, item=item.name, deadline_s=8.0)
        await self._send(order_id, "reserve", item.price, lambda: self._traffic.publish(order, times=2))

    async def _publish_backwards(self) -> None:
        """A redemption comes before the credit that it names, so that it stands outside until that has come."""
        credit_id, redemption_id, amount = uuid4(), uuid4(), self._random.randint(1, 20)
        code = self._random.choice(self._traffic.shop.codes)
        redeem = RedeemPromo(
            redemption_id=redemption_id, account_id=self.account, code=code.name, wait_s=8.0, after=(credit_id,)
        )
        credit = CreditAccount(credit_id=credit_id, account_id=self.account, amount=amount)
        publish = self._traffic.publish
        await self._send(redemption_id, *effect_of(code.effect), lambda: publish(redeem), frozenset((credit_id,)))
        await self._send(credit_id, "credit", amount, lambda: publish(credit))

    async def _send(
        self,
        saga: UUID,
        kind: OperationKind,
        size: int,
        send: Callable[[], Awaitable[Sent | None]],
        after: frozenset[UUID] = frozenset(),
        is_gift: bool = False,
    ) -> None:
        """Begin a saga."""
        self._again[saga] = send
        asked = Asked(self.account, kind, size, asyncio.get_running_loop().time(), after, is_gift)
        await self._traffic.begin(saga, asked, send)

    async def _glance(self) -> None:
        """Wait a little for the end of the last saga."""
        saga = list(self._again)[-1]
        with contextlib.suppress(StillOpen, Unreachable):
            if saga not in self._traffic.told:
                await self._traffic.learn(saga, GLANCE_S)

    async def _look_back(self) -> None:
        """See how each saga ended, and that the account holds what those endings make."""
        told = self._traffic.told
        left = [saga for saga in self._again if saga not in told]
        if self._traffic.resends:
            # All at once: each may be lost, and is sent again only when it was missed for a while.
            await asyncio.gather(*map(self._learn, left))
        else:
            for saga in left:
                await self._learn(saga)
        await self._expect(sum(told[saga].added for saga in self._again))

    async def _learn(self, saga: UUID) -> None:
        """How the saga ended, for whoever waits long enough."""
        while self._traffic.resends:
            try:
                await self._traffic.learn(saga, RESEND_S)
                return
            except StillOpen as error:
                if error.view is None:
                    await self._traffic.until_confirmed(self._again[saga])
            except Unreachable:
                continue
        await self._traffic.learn(saga, WAIT_S)

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
