"""What a redemption wants of the uses of its code, and what it is told of them. Pure.

There are two entities, each a number of uses: those of the code by one account, of which there may be one, and those of
the code by all. A redemption claims the account's use first, then one of the code's, so that waits form no circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from holdfast.delivery.words import Exchange, Fact

Use = Literal["account", "code"]
"""The account's one use of the code, or one of all uses of the code."""


def key_of(use: Use, code_hash: str, account_id: str) -> str:
    """The entity's key."""
    return code_hash if use == "code" else f"{code_hash}/{account_id}"


def use_of(key: str) -> Use:
    """Which of the two the entity is."""
    return "account" if "/" in key else "code"


@dataclass(frozen=True, slots=True)
class Take:
    """Claim a use, of which there may be `size`. Answered by `UseTaken`, `UseRefused`, or `UseAwaited` and later one of
    these.
    """

    use: Use
    size: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Give up a claim that waits. Answered by `UseRefused` with this reason."""

    use: Use
    reason: str


@dataclass(frozen=True, slots=True)
class Capture:
    """The use that was taken is used for good."""

    use: Use


@dataclass(frozen=True, slots=True)
class Release:
    """The use that was taken is free again."""

    use: Use
    reason: str


Want = Take | Withdraw | Capture | Release


class UseFact(Fact):
    """What the redemption is told of its claim. The service tells itself, within the message that it handles."""

    exchange: ClassVar[Exchange] = "promo"
    saga_field: ClassVar[str] = "redemption_id"
    subject_field: ClassVar[str] = "redemption_id"

    redemption_id: UUID
    use: Use


class UseTaken(UseFact):
    """The use is the redemption's, until it captures or releases it."""

    type: ClassVar[str] = "use.taken"


class UseAwaited(UseFact):
    """Whether there is a use depends on how other redemptions end; the fields are those of `promo.waiting`."""

    type: ClassVar[str] = "use.awaited"

    position: int
    waits_for: tuple[UUID, ...]
    deadline: datetime | None


class UseRefused(UseFact):
    """There is no use for the redemption: `used_up`, `pending_limit`, `wait_deadline_passed`, or why it gave up."""

    type: ClassVar[str] = "use.refused"

    reason: str


class WaitOverdue(Fact):
    """The time is over for a claim that waits on this entity. Sent to itself."""

    type: ClassVar[str] = "use.wait_overdue"
    exchange: ClassVar[Exchange] = "promo"
    saga_field: ClassVar[str] = "key"
    subject_field: ClassVar[str] = "key"

    key: str
