"""Rules that a service keeps, each broken on purpose in a process of its own: `--broken` of tests/faults/process.py.

Traffic must find each of them. Each takes a monkeypatch, which nobody undoes: the process ends with its test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest
from aio_pika.abc import AbstractIncomingMessage
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.commands import CreditAccount
from holdfast.delivery import consumer
from holdfast.delivery.consumer import Consumer
from holdfast.delivery.message import Announcement, Message
from holdfast.delivery.outbox import Outgoing
from holdfast.delivery.relay import Relay
from holdfast.delivery.unit_of_work import Arrived, UnitOfWork
from holdfast.entities.entities import Entities
from holdfast.pending import Entity, Operation, Outcome
from order_service import kinds as goods
from promo_service.claims import Claims
from promo_service.redemption import Redemption
from promo_service.uses import Release, UseFact, Want
from user_service.handlers import AccountHandlers

Break = Callable[[pytest.MonkeyPatch], None]


def acknowledges_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """A batch is acknowledged as soon as it is taken."""
    gather, acknowledge = Consumer._gather, consumer._acknowledge

    async def broken(self: Consumer) -> tuple[list[AbstractIncomingMessage], list[Arrived]]:
        deliveries, arrived = await gather(self)
        await acknowledge(deliveries)
        return deliveries, arrived

    async def nothing(deliveries: list[AbstractIncomingMessage]) -> None:
        return

    patch.setattr(Consumer, "_gather", broken)
    patch.setattr(consumer, "_acknowledge", nothing)


def deletes_what_was_left_behind(patch: pytest.MonkeyPatch) -> None:
    """What a crash left in the outbox is deleted, and was never published."""
    publish = Relay._publish

    async def broken(self: Relay, messages: Sequence[Outgoing]) -> tuple[list[UUID], list[Outgoing]]:
        task = asyncio.current_task()
        if task and task.get_name() == "sweep":
            return [each.id for each in messages], []
        return await publish(self, messages)

    patch.setattr(Relay, "_publish", broken)


def inbox_knows_nothing(patch: pytest.MonkeyPatch) -> None:
    """Every message is new, however often it comes."""
    receive = UnitOfWork._receive

    async def broken(
        self: UnitOfWork[object], connection: AsyncConnection, arrived: Sequence[Arrived]
    ) -> tuple[list[Arrived], datetime]:
        _, now = await receive(self, connection, arrived)
        return list(arrived), now

    patch.setattr(UnitOfWork, "_receive", broken)


def past_credit_is_not_recognised(patch: pytest.MonkeyPatch) -> None:
    """A credit that an account has had counts as new if it comes again."""
    handle = AccountHandlers.handle

    def broken(self: AccountHandlers, state: Entities, message: Message, now: datetime) -> Sequence[Announcement]:
        if isinstance(message.fact, CreditAccount):
            state.at[message.fact.account_id].past.pop(message.fact.credit_id, None)
        return handle(self, state, message, now)

    patch.setattr(AccountHandlers, "handle", broken)


def use_of_a_code_is_kept(patch: pytest.MonkeyPatch) -> None:
    """A redemption that was refused does not give its use of the code back."""
    do = Claims.do

    def broken(self: Claims, redemption: Redemption, want: Want) -> Sequence[UseFact]:
        return () if isinstance(want, Release) else do(self, redemption, want)

    patch.setattr(Claims, "do", broken)


def after_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """An operation joins its account at once, whatever it is to come after."""
    arrive = Entity.arrive

    def broken(self: Entity[int], operation: Operation[int], *rest: object) -> Outcome[int]:
        return arrive(self, replace(operation, after=frozenset()), *rest)  # type: ignore[arg-type]

    patch.setattr(Entity, "arrive", broken)


def goods_are_promised_that_are_not_there(patch: pytest.MonkeyPatch) -> None:
    """An order gets its pieces, however few there are."""

    def broken(self: goods.Take, state: int) -> int:
        return self.size

    patch.setattr(goods.Take, "answer", broken)


BREAKS: Mapping[str, Break] = {
    each.__name__: each
    for each in (
        acknowledges_before_the_commit,
        after_is_ignored,
        deletes_what_was_left_behind,
        goods_are_promised_that_are_not_there,
        inbox_knows_nothing,
        past_credit_is_not_recognised,
        use_of_a_code_is_kept,
    )
}
"""By the name that the command line knows them by."""
