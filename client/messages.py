"""Commands as they are sent: what they are about, and how many fit into one message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from contracts.base import Fact
from contracts.envelope import BODY_BYTES_MAX, EVENTS_MAX, Envelope


def own_id(command: Fact) -> UUID | None:
    """The credit, order or redemption that the command is about; None where it is about something that has a name."""
    value: Any = getattr(command, command.saga_field)
    return value if isinstance(value, UUID) else None


def parts(envelopes: Sequence[Envelope]) -> list[list[Envelope]]:
    """The envelopes in messages that are small enough to be read."""
    found: list[list[Envelope]] = []
    room = 0
    for envelope in envelopes:
        size = len(envelope.model_dump_json(exclude_none=True)) + 1
        if not found or len(found[-1]) == EVENTS_MAX or size > room:
            found.append([])
            room = BODY_BYTES_MAX - 2
        found[-1].append(envelope)
        room -= size
    return found
