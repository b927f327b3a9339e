"""Two processes meet at an account that neither finds: what one decides, the other sees."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from contracts.commands import CreditAccount, OpenAccount
from local.site import Site
from tests.service.sites import arrived, rows, unstarted, value


class Slow:
    """A connection that stands still after its first statement until it may go on."""

    def __init__(self, connection: Any, read: asyncio.Event, go: asyncio.Event) -> None:
        self._connection, self._read, self._go = connection, read, go

    async def execute(self, *statement: Any) -> Any:
        found = await self._connection.execute(*statement)
        if not self._read.is_set():
            self._read.set()
            await self._go.wait()
        return found


async def test_a_credit_that_finds_no_account_while_another_opens_it_loses_nothing(site: Site) -> None:
    read, go, account, first = asyncio.Event(), asyncio.Event(), str(uuid4()), uuid4()
    async with unstarted(site, "user_service") as one, unstarted(site, "user_service") as other:
        handlers: Any = other.domain.handlers
        keeper = handlers._keeper
        load = keeper.load
        keeper.load = lambda connection, touched: load(Slow(connection, read, go), touched)
        credit = CreditAccount(credit_id=first, account_id=account, amount=100)
        late = asyncio.create_task(other.work.handle([arrived(other, credit)]))
        await read.wait()
        behind = CreditAccount(credit_id=uuid4(), account_id=account, amount=5, after=(first,))
        await one.work.handle([arrived(one, OpenAccount(account_id=account)), arrived(one, behind)])
        go.set()
        await late
    assert await value(site, "user_service", "SELECT balance FROM accounts WHERE account_id = :a", a=account) == 105
    lines = "SELECT seq, balance_before, balance_after FROM ledger WHERE account_id = :a ORDER BY seq"
    assert [tuple(row) for row in await rows(site, "user_service", lines, a=account)] == [(1, 0, 100), (2, 100, 105)]
