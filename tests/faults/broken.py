"""Rules that a service keeps, each broken on purpose in a process of its own: `--broken` of tests/faults/process.py.

Traffic must find each of them. Each takes a monkeypatch, which nobody undoes: the process ends with its test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import pytest
from aio_pika.abc import AbstractIncomingMessage
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging import consumer
from messaging.consumer import Consumer
from messaging.outbox import Outgoing
from messaging.relay import Relay
from messaging.unit_of_work import Arrived, UnitOfWork
from tests.simulation.mutants import operation_is_not_recognised, use_of_a_code_is_kept

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


BREAKS: Mapping[str, Break] = {
    each.__name__: each
    for each in (
        acknowledges_before_the_commit,
        deletes_what_was_left_behind,
        inbox_knows_nothing,
        operation_is_not_recognised,
        use_of_a_code_is_kept,
    )
}
"""By the name that the command line knows them by."""
