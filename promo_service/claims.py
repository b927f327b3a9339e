"""Doing what redemptions want of the uses of codes, and telling them the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

from contracts.commands import RedeemPromo
from holdfast.entities.entities import Entities, may_wait
from holdfast.entities.tables import Note
from holdfast.entities.views import wait_of
from holdfast.pending import Operation, Outcome, Refused
from promo_service.kinds import Claim
from promo_service.redemption import Redemption
from promo_service.uses import (
    Capture,
    Release,
    Take,
    UseAwaited,
    UseFact,
    UseRefused,
    UseTaken,
    Want,
    Withdraw,
    key_of,
    use_of,
)


@dataclass(frozen=True, slots=True)
class Claims:
    """The uses that a batch touches, within one message of type `cause`. `waiting_max`: claims that may wait for one
    entity.
    """

    uses: Entities
    now: datetime
    cause: str
    waiting_max: int

    def do(self, redemption: Redemption, want: Want) -> Sequence[UseFact]:
        """Do it. Returns what redemptions are told for it: this one, and others whose claims are answered by it."""
        key = key_of(want.use, redemption.code_hash, redemption.account_id)
        match want:
            case Take(size=size):
                return self._take(key, redemption, size)
            case Withdraw(reason=reason):
                return self._told(key, self.uses.withdraw(key, redemption.id, self.now, reason, self.cause))
            case Capture():
                return self._told(key, self.uses.settle(key, redemption.id, self.now, self.cause))
            case Release(reason=reason):
                return self._told(key, self.uses.release(key, redemption.id, self.now, reason, self.cause))
            case _:
                assert_never(want)

    def pass_time(self, key: str) -> Sequence[UseFact]:
        """Let the deadlines of claims on this entity have their effect."""
        return self._told(key, self.uses.pass_time(key, self.now))

    def _take(self, key: str, redemption: Redemption, size: int) -> Sequence[UseFact]:
        note = Note(RedeemPromo.exchange, RedeemPromo.type, redemption.trace)
        claim = Operation(redemption.id, Claim(size), answer_by=redemption.wait_until, note=note)
        told = self.pass_time(key)
        self.uses.open(key)
        if self.uses.at[key].unanswered < self.waiting_max or not may_wait(self.uses.at[key], claim.kind):
            outcome = self.uses.arrive(key, claim, self.now)
        else:
            outcome = self.uses.refuse(key, claim, self.now, "pending_limit")
        return [*told, *self._told(key, outcome)]

    def _told(self, key: str, outcome: Outcome[int]) -> Sequence[UseFact]:
        return [told for operation in outcome.changed if (told := self._answer(key, operation))]

    def _answer(self, key: str, claim: Operation[int]) -> UseFact | None:
        """What its redemption is told of a claim; None of one that it captured or released itself."""
        of: Any = {"redemption_id": claim.id, "use": use_of(key)}
        told: Any = claim
        if claim.status == "waiting":
            return UseAwaited(**of, **wait_of(self.uses.at[key], told.id))
        if claim.status == "reserved":
            return UseTaken(**of)
        return UseRefused(**of, reason=told.reason) if claim.end is None else None


def is_spent(uses: Entities, key: str, size: int) -> bool:
    """Whether a claim that came now would surely be refused, however those before it end."""
    bounds = uses.at[key].bounds
    return bounds is not None and isinstance(Claim(size).answer(bounds[0]), Refused)
