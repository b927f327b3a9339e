"""Gifts: sagas of a service whose words are its own, in the same accounts as all others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from client.client import Client, Sent
from client.waiting import until
from examples.gift_service.words import (
    GiftCancelled,
    GiftCompleted,
    GiftFailed,
    GiftReturned,
    GiftView,
    SendGift,
    ShowGift,
)
from holdfast.delivery.words import Fact
from tests.faults.stage import Stage
from tests.service.sites import rows

ENDINGS = (GiftCancelled, GiftCompleted, GiftFailed, GiftReturned)
STATES = ("cancelled", "completed", "failed", "returned")
_GIFTS = "SELECT gift_id, account_id, receiver_id, amount, state FROM gifts"


@dataclass(frozen=True, slots=True)
class Gift:
    """A gift as its service keeps it."""

    gift_id: UUID
    account_id: str
    receiver_id: str
    amount: int
    state: str

    @property
    def added(self) -> int:
        """The coins that it added to the giver's."""
        return -self.amount if self.state == "completed" else 0


async def kept(stage: Stage) -> Sequence[Gift]:
    """All gifts."""
    return [Gift(*each) for each in await rows(stage.site, "gift_service", _GIFTS)]


async def give(client: Client, giver: str, receiver: str, amount: int, gift_id: UUID, deadline_s: float) -> Sent:
    """Send a gift, after what its giver has sent before."""
    command = SendGift(gift_id=gift_id, account_id=giver, receiver_id=receiver, amount=amount, deadline_s=deadline_s)
    return await client.send(command, fill_after=True)


async def wait(client: Client, gift_id: UUID, timeout_s: float) -> GiftView:
    """The gift once it has ended. Raises `StillOpen` or `Unreachable`."""

    async def look() -> GiftView | None:
        view = await client.ask(ShowGift(gift_id=gift_id), timeout_s=timeout_s)
        assert view is None or isinstance(view, GiftView)
        return view

    return await until(look, lambda seen: seen.state in STATES, timeout_s, f"gift {gift_id}")


def ended(fact: Fact) -> Iterator[tuple[str, UUID, str, int]]:
    """The ending that the event announces: of a gift, which, how, and no coins, since its giver gets none."""
    if isinstance(fact, ENDINGS):
        yield "gift", fact.gift_id, fact.type.removeprefix("gift."), 0


def astray(gifts: Sequence[Gift], balances: Mapping[str, int], receiver: str) -> Iterator[str]:
    """Coins that this account, which does nothing else, has been given and does not have, or has without."""
    given = sum(each.amount for each in gifts if each.receiver_id == receiver and each.state == "completed")
    if balances.get(receiver, 0) != given:
        yield f"{receiver}: was given {given} coins, it has {balances.get(receiver, 0)}"
