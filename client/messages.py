"""Commands as they are sent: what they are about."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from holdfast.delivery.words import Fact


def own_id(command: Fact) -> UUID | None:
    """The credit, order or redemption that the command is about; None where it is about something that has a name."""
    value: Any = getattr(command, command.saga_field)
    return value if isinstance(value, UUID) else None
