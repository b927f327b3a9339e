"""Where the demo plays: accounts, items and codes of its own, and every event of them as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID, uuid4

from rich.console import Console

from client.client import Client
from client.errors import Unreachable
from client.pending import told
from client.session import Failed
from client.settings import Settings
from client.tap import Seen, tap
from client.timeline import line
from contracts.events import CoinsCredited
from contracts.queries import AccountView, ItemView
from contracts.roles import Multiply
from holdfast.delivery.words import Fact

EVENT_S_MAX = 20.0
"""Each event of the demo comes within seconds; this long is waited before it counts as missing."""

FactT = TypeVar("FactT", bound=Fact)


class Stage:
    """Where the demo plays: a buyer and an operator on the broker, and everything that is announced, as it happens."""

    def __init__(self, buyer: Client, operator: Client, passing: asyncio.Queue[Seen | None], console: Console) -> None:
        self.buyer, self.operator, self.console = buyer, operator, console
        self.run = uuid4().hex[:6]
        self.wrong: list[str] = []
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

    async def new_account(self, name: str, coins: int) -> str:
        """An account with so many coins."""
        account = f"{name}-{self.run}"
        await self.buyer.open_account(account)
        credit = await self.buyer.credit(account, coins)
        await self.happens(CoinsCredited, credit.id)
        return account

    async def item(self, name: str, price: int, stock: int | None = None) -> str:
        """A new item, for which somebody outside answers; with `stock`, its pieces are counted."""
        item = f"{name}-{self.run}"
        sent = await self.operator.put_item(item, price, stock, "external")
        await self.operator.outcome(sent)
        return item

    async def code(self, name: str, factor: int, uses_max: int | None = None) -> str:
        """A new promo code."""
        code = f"{name}-{self.run}"
        sent = await self.operator.put_promo(code, Multiply(factor=factor), uses_max=uses_max)
        await self.operator.outcome(sent)
        return code

    async def say_what_waits(self, account: str) -> AccountView:
        """Print what each pending operation of the account waits for, and what is surely available."""
        view = await self._account(account)
        self._say_waits(view)
        self._say(f"{account} has {view.available} coins for certain")
        return view

    async def say_who_waits(self, item: str) -> None:
        """Print what each order that wants pieces of the item waits for."""
        view = await self.buyer.ask.item(item)
        if view is None:
            raise Failed(f"item {item} is unknown")
        self._say_waits(view)

    async def balance(self, account: str) -> int:
        """The balance as the user service answers it, once nothing is pending."""
        view = await self._account(account)
        self.expect(f"pending operations of {account}", len(view.pending), 0)
        self._say(f"{account} has {view.balance} coins")
        return view.balance

    def expect(self, what: str, found: object, right: object) -> None:
        """Note it if what was found is not what must be; the demo goes on, and fails at its end."""
        if found != right:
            self.wrong.append(f"{what}: {found} instead of {right}")
            self._say(self.wrong[-1], "bold red")

    def _say_waits(self, view: AccountView | ItemView) -> None:
        for each in view.pending:
            if words := told(each.operation_id, view.pending, view.now):
                self._say(words)

    def _say(self, words: str, style: str = "bold") -> None:
        self.console.print(f"           {words}", style=style, soft_wrap=True)

    async def _account(self, account: str) -> AccountView:
        view = await self.buyer.ask.account(account)
        if view is None:
            raise Failed(f"account {account} is unknown")
        return view

    def _future(self, type_: str, saga: str) -> asyncio.Future[Fact]:
        return self._happened.setdefault((type_, saga), asyncio.get_running_loop().create_future())


@asynccontextmanager
async def on_stage(settings: Settings, console: Console) -> AsyncIterator[Stage]:
    """Buyer and operator, connected, and the timeline running. Raises `Unreachable` or `NotAllowed`."""
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
