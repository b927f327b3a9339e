"""Two accounts and a gift, short to write in a test."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID, uuid4

from contracts.base import COINS_MAX
from contracts.commands import CreditAccount, OpenAccount
from contracts.events import AccountOpened, CoinsCredited
from contracts.queries import ShowAccount
from examples.gift_service.words import (
    CancelGift,
    CancelGiftRefused,
    GiftCancelled,
    GiftCompleted,
    GiftFailed,
    GiftReturned,
    SendGift,
    ShowGift,
)
from holdfast.delivery.words import Fact
from tests.service.probe import Probe
from tests.service.sites import until

GIFT = "gift_service"
ENDS: tuple[type[Fact], ...] = (GiftCompleted, GiftReturned, GiftFailed, GiftCancelled)


def gift(giver: str, receiver: str, amount: int = 20, **more: Any) -> SendGift:
    """The command, with an id of its own unless one is given."""
    return SendGift.model_validate(
        {"gift_id": uuid4(), "account_id": giver, "receiver_id": receiver, "amount": amount, **more}
    )


async def account(probe: Probe, coins: int = 0) -> str:
    """A new account with this many coins."""
    name, credit = f"a-{uuid4().hex[:12]}", uuid4()
    await probe.send(OpenAccount(account_id=name))
    await probe.hear(AccountOpened, name)
    if coins:
        await probe.send(CreditAccount(credit_id=credit, account_id=name, amount=coins))
        await probe.hear(CoinsCredited, credit)
    return name


async def full(probe: Probe, room: int = 0) -> str:
    """A new account that may hold only so many coins more."""
    return await account(probe, COINS_MAX - room)


async def ended(probe: Probe, *gift_ids: UUID) -> str:
    """How the gifts ended: each in one way, and that of the last is returned."""
    for each in gift_ids:
        await probe.wait(lambda each=each: bool(endings(probe, each)), f"the end of gift {each}")  # type: ignore[misc]
    await fence(probe)
    found = [endings(probe, each) for each in gift_ids]
    assert all(len(each) == 1 for each in found), found
    return found[-1].pop()


def endings(probe: Probe, gift_id: UUID) -> set[str]:
    """The ways in which the gift was said to have ended so far."""
    return {each.type for kind in ENDS for each in probe.announced(kind, gift_id)}


async def fence(probe: Probe) -> None:
    """Return once the gift service has answered all that was sent to it before."""
    mark, other = uuid4(), f"fence-{uuid4()}"
    await probe.send(CancelGift(gift_id=mark, account_id="fence"))
    await probe.hear(GiftCancelled, mark)
    await probe.send(CancelGift(gift_id=mark, account_id=other))
    await probe.hear(CancelGiftRefused, mark)


async def coins(probe: Probe, *accounts: str) -> list[int]:
    """The accounts' coins, once nothing is pending on them."""
    found = [await until(partial(_settled, probe, each), f"{each} has settled") for each in accounts]
    return [view["balance"] for view in found]


async def _settled(probe: Probe, name: str) -> dict[str, Any] | None:
    view = await shown(probe, name)
    return None if view["pending"] else view


async def shown(probe: Probe, name: str) -> dict[str, Any]:
    """The account as the user service shows it."""
    view: dict[str, Any] = (await probe.ask(ShowAccount(account_id=name)))["answer"]
    return view


async def stands(probe: Probe, gift_id: UUID) -> dict[str, Any]:
    """The gift as the gift service shows it."""
    view: dict[str, Any] = (await probe.ask(ShowGift(gift_id=gift_id)))["answer"]
    return view
