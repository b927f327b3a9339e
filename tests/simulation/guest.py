"""A fourth participant, of which the shop knows nothing but that its events have the roles of `contracts.roles`.

It stands in the world beside the clients and the warehouse. What it asks for is answered by the user service, and these
answers pass the order and the promo service by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from contracts.base import After, ShopFact
from contracts.roles import (
    AsksReservation,
    Bonus,
    Change,
    ChangesBalance,
    ConfirmsReservation,
    Credit,
    GivesUpReservation,
    Multiply,
)
from holdfast.delivery.words import Exchange, Fact, Seconds

if TYPE_CHECKING:
    from tests.simulation.plan import Plan, Saga
    from tests.simulation.world import World

EXCHANGE = "guest"


class _GuestEvent(ShopFact):
    exchange: ClassVar[Exchange] = EXCHANGE
    saga_field: ClassVar[str] = "guest_id"


class GuestAsked(_GuestEvent, AsksReservation):
    """Coins are to be set aside."""

    type: ClassVar[str] = "guest.asked"

    guest_id: UUID


class GuestAskedForRoom(_GuestEvent, AsksReservation):
    """Room is to be set aside for coins to come."""

    type: ClassVar[str] = "guest.asked_for_room"
    direction: ClassVar[Literal["out", "in"]] = "in"

    guest_id: UUID


class GuestConfirmed(_GuestEvent, ConfirmsReservation):
    """The reservation is to be captured."""

    type: ClassVar[str] = "guest.confirmed"

    guest_id: UUID


class GuestGaveUp(_GuestEvent, GivesUpReservation):
    """The operation is to have no effect."""

    type: ClassVar[str] = "guest.gave_up"
    why: ClassVar[str] = "guest_gave_up"

    guest_id: UUID


class GuestGave(_GuestEvent, ChangesBalance):
    """The balance is to change."""

    type: ClassVar[str] = "guest.gave"

    guest_id: UUID
    effect: Annotated[Credit | Multiply | Bonus, Field(discriminator="kind")]
    wait_s: Seconds | None = None
    join_s: Seconds
    after: After = ()

    @property
    def change(self) -> Change:
        return self.effect

    @property
    def waits_s(self) -> float | None:
        return self.wait_s

    @property
    def joins_s(self) -> float | None:
        return self.join_s


FACTS: dict[str, type[Fact]] = {
    each.type: each for each in (GuestAsked, GuestAskedForRoom, GuestConfirmed, GuestGaveUp, GuestGave)
}

OPENING = frozenset(("coins.reserved", "operation.waiting", "operation.accepted"))
"""What tells the guest that an operation is there."""


class Guest:
    """What the participant does. It loses nothing that it heard, and says each thing once, or again when asked to."""

    def __init__(self, plan: Plan, world: World) -> None:
        self._plan, self._world = plan, world
        self._sagas = {saga.id: saga for saga in plan.sagas}
        self._said: dict[UUID, list[Fact]] = {}

    def begin(self, saga: Saga, after: tuple[UUID, ...]) -> None:
        """Ask for what the saga is about, and perhaps give it up whatever comes."""
        self._say(self._ask(saga, after))
        if saga.cancels_after_s is not None:
            self._world.later(saga.cancels_after_s, self._say, self._give_up(saga))

    def hear(self, fact: Fact, saga_id: UUID, at: float) -> None:
        """An announcement of the user service is heard at `at`."""
        saga = self._sagas.get(saga_id)
        if saga is None or fact.type not in OPENING:
            return
        after_s = at - self._world.time
        if saga.meddled_with:
            self._meddle(saga, after_s)
        elif saga.kind == "guest" and fact.type == "coins.reserved" and saga.owner != "is silent":
            accepts = saga.owner == "accepts"
            settled = GuestConfirmed(account_id=saga.account, guest_id=saga.id) if accepts else self._give_up(saga)
            self._world.later(after_s + saga.answers_after_s, self._say, settled)

    def ask_again(self, saga: Saga) -> None:
        """What was thrown away by a purge is said again, in a message of its own."""
        for fact in self._said.get(saga.id, ()):
            self._world.send(fact, self._world.draw_id())

    def _meddle(self, saga: Saga, after_s: float) -> None:
        """Say of another's operation what is not the guest's to say."""
        word = GuestConfirmed if saga.meddled_with == "confirms" else GuestGaveUp
        fact = word(account_id=saga.account, guest_id=saga.id)
        if fact not in self._said.setdefault(saga.id, []):
            self._said[saga.id].append(fact)
            self._world.later(after_s, self._world.send, fact, fact.announcement_id)

    def _say(self, fact: Fact) -> None:
        said = self._said.setdefault(getattr(fact, fact.saga_field), [])
        if not any(isinstance(each, GuestGaveUp | GuestConfirmed) for each in said) and fact not in said:
            said.append(fact)
            self._world.send(fact, fact.announcement_id)

    def _give_up(self, saga: Saga) -> Fact:
        return GuestGaveUp(account_id=saga.account, guest_id=saga.id)

    def _ask(self, saga: Saga, after: tuple[UUID, ...]) -> Fact:
        hold_s = saga.lasts_s or self._plan.lasts_s
        match saga.of:
            case "out":
                return GuestAsked(
                    account_id=saga.account, guest_id=saga.id, amount=saga.size, hold_s=hold_s, after=after
                )
            case "in":
                return GuestAskedForRoom(
                    account_id=saga.account, guest_id=saga.id, amount=saga.size, hold_s=hold_s, after=after
                )
            case _:
                return GuestGave(
                    account_id=saga.account,
                    guest_id=saga.id,
                    effect=_effect(saga.of, saga.size),
                    wait_s=saga.lasts_s,
                    join_s=self._plan.joins_s,
                    after=after,
                )


def _effect(kind: str, size: int) -> Credit | Multiply | Bonus:
    match kind:
        case "multiply":
            return Multiply(factor=size)
        case "bonus":
            return Bonus(amount=size)
        case _:
            return Credit(amount=size)
