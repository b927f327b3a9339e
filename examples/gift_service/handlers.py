"""What the gift service does with each message: find the gift, let `gift.py` decide, keep and announce the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.events import CoinsExpired, CoinsRefused, CoinsReleased, OperationEvent
from contracts.topology import SHOP
from examples.gift_service import store, views
from examples.gift_service.facts import AnswerOverdue, DeadlinePassed, sides
from examples.gift_service.gift import decide
from examples.gift_service.moves import Contradiction, Situation, Step
from examples.gift_service.settings import Settings
from examples.gift_service.state import Gift
from examples.gift_service.store import Gifts
from examples.gift_service.tables import delivery, gifts
from examples.gift_service.words import (
    GiftCancelled,
    GiftCompleted,
    GiftFailed,
    GiftReturned,
    SendGift,
    room_id,
)
from holdfast import __version__
from holdfast.delivery.domain import Domain, Refused
from holdfast.delivery.message import Announcement, Message
from holdfast.delivery.words import Fact

DUE_TOGETHER_MAX = 500


@dataclass(frozen=True, slots=True)
class Limits:
    """`deadline_s`: for gifts that name none. `ask_again_s`: how long the user service's answer is waited for before
    it is asked again.
    """

    deadline_s: float = 900.0
    ask_again_s: float = 30.0


class GiftHandlers:
    """Handles messages about gifts, within these limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def load(self, connection: AsyncConnection, messages: Sequence[Message], now: datetime) -> Gifts:
        """Lock and read the gifts that these messages are about, and others whose ids a new one would use."""
        return await store.load(connection, {each for message in messages for each in _ids(message.fact)})

    def handle(self, state: Gifts, message: Message, now: datetime) -> Sequence[Announcement]:
        """Decide one message."""
        fact, side = message.fact, None
        if isinstance(fact, OperationEvent):
            found = state.find(fact.operation_id, sides(fact))
            if found is None:
                return _about_no_gift(fact)
            gift, side = found
        else:
            gift_id: UUID = getattr(fact, fact.saga_field)
            gift = state.gifts.get(gift_id) or Gift(gift_id, trace=message.trace)
            _must_be_free(state, fact)
        try:
            step = decide(Situation(gift, now, self._limits.deadline_s, self._limits.ask_again_s), fact, side)
        except Contradiction as error:
            raise Refused(str(error)) from None
        if step.gift is not gift:
            state.put(step.gift)
        return [_announcement(step, fact) for fact in step.facts]

    async def save(self, connection: AsyncConnection, state: Gifts) -> None:
        """Keep what changed."""
        await store.save(connection, state)

    async def due(self, connection: AsyncConnection) -> Sequence[Fact]:
        """Gifts whose deadline has passed, and those whose answer is overdue."""
        late = await store.due(connection, gifts.c.deadline, DUE_TOGETHER_MAX)
        unanswered = await store.due(connection, gifts.c.ask_again_at, DUE_TOGETHER_MAX)
        return [
            *(DeadlinePassed(gift_id=each) for each in late),
            *(AnswerOverdue(gift_id=each) for each in unanswered),
        ]


def _ids(fact: Fact) -> tuple[UUID, ...]:
    """By which the gift is found, and for a new gift its other id, which must not be a gift's own."""
    if isinstance(fact, OperationEvent):
        return (fact.operation_id,)
    gift_id: UUID = getattr(fact, fact.saga_field)
    return (gift_id, room_id(gift_id)) if isinstance(fact, SendGift) else (gift_id,)


def _about_no_gift(fact: OperationEvent) -> Sequence[Announcement]:
    """An operation that had no effect may be a credit that was refused before the present one. Raises `Refused` for any
    other: nobody asked for it.
    """
    if isinstance(fact, CoinsRefused | CoinsReleased | CoinsExpired):
        return []
    raise Refused(f"{fact.type} for operation {fact.operation_id}, which no gift has asked for")


def _must_be_free(state: Gifts, fact: Fact) -> None:
    """No gift's id may be that of another gift's operation: an answer would be about both."""
    if not isinstance(fact, SendGift) or fact.gift_id in state.gifts:
        return
    if state.find(fact.gift_id, ("receiver", "credit")) or room_id(fact.gift_id) in state.gifts:
        raise Refused(f"gift_id: {fact.gift_id} was made from another gift's id; use a random id for each gift")


def _announcement(step: Step, fact: Fact) -> Announcement:
    ends = isinstance(fact, GiftCompleted | GiftReturned | GiftFailed | GiftCancelled)
    return Announcement(fact, step.gift.trace, step.gift.began_at if ends else None, step.again)


def domain(settings: Settings) -> Domain[Gifts]:
    """The gift service, as delivery sees it."""
    return Domain(
        service="gift_service",
        topology=SHOP,
        version=__version__,
        tables=delivery,
        handlers=GiftHandlers(Limits(settings.deadline_s, settings.ask_again_s)),
        answers=views.answers(),
        gauges=views.gauges,
    )
