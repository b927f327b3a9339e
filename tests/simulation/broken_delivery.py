"""The delivery of messages, broken on purpose. Each function breaks one thing; its document says what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from contracts.events import CancelRefused
from messaging.message import Announcement
from tests.simulation.memory import MemoryNode
from tests.simulation.outbox import Outbox


def inbox_knows_nothing(patch: pytest.MonkeyPatch) -> None:
    """No dedupe: every message is new."""
    patch.setattr(MemoryNode, "_is_known", lambda self, key: False)


def inbox_is_noted_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """A message counts as handled although the transaction that handled it died."""
    handle = MemoryNode.handle

    async def broken(self: MemoryNode, batch: Sequence[Any], now: datetime, reached: Any) -> None:
        known = {(event.id.int, each.parcel.exchange) for each in batch for event in each.parcel.events}
        try:
            await handle(self, batch, now, reached)
        finally:
            self._inbox |= known

    patch.setattr(MemoryNode, "handle", broken)


def outbox_is_only_in_memory(patch: pytest.MonkeyPatch) -> None:
    """What a process had not published dies with it."""

    async def broken(self: MemoryNode) -> None:
        self._outbox = Outbox()

    patch.setattr(MemoryNode, "restart", broken)


def outbox_is_deleted_before_the_confirm(patch: pytest.MonkeyPatch) -> None:
    """A message is forgotten as soon as it is sent."""
    relay = MemoryNode.relay

    async def broken(self: MemoryNode, publish: Any, now: datetime, reached: Any) -> bool:
        return await relay(self, lambda parcel: publish(parcel) or True, now, reached)

    patch.setattr(MemoryNode, "relay", broken)


def _lost_at_a_crash(patch: pytest.MonkeyPatch, name: str) -> None:
    """What was announced under this name, and not published when the process died, is forgotten."""
    restart = Outbox.restart

    def broken(self: Outbox) -> None:
        restart(self)
        self._kept = {
            number: kept for number, kept in self._kept.items() if not kept.parcel.routing_key.startswith(name)
        }

    patch.setattr(Outbox, "restart", broken)


def reservations_are_lost_at_a_crash(patch: pytest.MonkeyPatch) -> None:
    """Coins are set aside, and whoever asked hears of it only if nobody dies."""
    _lost_at_a_crash(patch, "coins.reserved")


def requests_are_lost_at_a_crash(patch: pytest.MonkeyPatch) -> None:
    """A warehouse is asked only if nobody dies."""
    _lost_at_a_crash(patch, "fulfilment.requested")


def sweep_deletes_what_was_not_confirmed(patch: pytest.MonkeyPatch) -> None:
    """What a crash left behind is sent once, whatever becomes of it."""
    sweep, publish = Outbox._sweep, Outbox._publish

    def confirmed(self: Outbox, numbers: Sequence[int]) -> tuple[Sequence[int], list[int]]:
        publish(self, numbers)
        return numbers, []

    def broken(self: Outbox, now: datetime, age_s: float) -> None:
        with pytest.MonkeyPatch.context() as meanwhile:
            meanwhile.setattr(Outbox, "_publish", confirmed)
            sweep(self, now, age_s)

    patch.setattr(Outbox, "_sweep", broken)


def asks_again_under_the_same_id(patch: pytest.MonkeyPatch) -> None:
    """A question that is asked again is a message that the inbox knows."""
    patch.setattr(Announcement, "id", property(lambda self: self.fact.announcement_id))


def refusals_of_a_cancel_are_one_message(patch: pytest.MonkeyPatch) -> None:
    """A cancel that is refused twice, for two reasons, says both under one message id."""
    patch.setattr(CancelRefused, "identity_fields", ())
