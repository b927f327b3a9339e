"""Facts as other services and people send them, short to write in a test."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID, uuid4

from contracts.commands import CreditAccount, OpenAccount, PutItem
from contracts.events import CoinsCredited, CoinsReserved, OrderPlaced, PromoClaimed
from contracts.roles import Multiply
from tests.service.probe import Probe

FAR = datetime(2100, 1, 1, tzinfo=UTC)


async def account_with(probe: Probe, coins: int) -> str:
    """A new account that holds this many coins."""
    account, credit_id = str(uuid4()), uuid4()
    await probe.send(OpenAccount(account_id=account))
    await probe.send(CreditAccount(credit_id=credit_id, account_id=account, amount=coins))
    await probe.hear(CoinsCredited, credit_id)
    return account


async def item_with(probe: Probe, stock: int, fulfilment: Literal["instant", "external"] = "instant") -> str:
    """A new item of the catalog, at 5 coins. An external one without stock is not counted."""
    item = f"item-{uuid4()}"
    await probe.send(PutItem(item=item, price=5, stock=stock or None, fulfilment=fulfilment))
    return item


def placed(account: str, order_id: UUID, amount: int = 20, hold_s: float = 600.0) -> OrderPlaced:
    """An order wants its coins."""
    return OrderPlaced(order_id=order_id, account_id=account, amount=amount, hold_s=hold_s)


def doubled(
    account: str, redemption_id: UUID, after: tuple[UUID, ...] = (), wait_s: float = 600.0, factor: int = 2
) -> PromoClaimed:
    """A code wants its effect."""
    return PromoClaimed(
        redemption_id=redemption_id,
        account_id=account,
        effect=Multiply(factor=factor),
        wait_s=wait_s,
        join_s=wait_s,
        after=after,
    )


def reserved(account: str, order_id: UUID, amount: int = 5) -> CoinsReserved:
    """The coins of an order are set aside."""
    return CoinsReserved(account_id=account, operation_id=order_id, asked_by="order", amount=amount, deadline=FAR)
