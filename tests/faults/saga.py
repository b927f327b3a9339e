"""A saga as its account's owner knows it: what was asked for, and how it was said to have ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from contracts.queries import OperationView, OrderView, RedemptionView
from contracts.roles import Bonus, PromoEffect
from examples.gift_service.words import GiftView
from holdfast.entities.words import OperationKind

View = OperationView | OrderView | RedemptionView | GiftView

WHAT: Mapping[OperationKind, str] = {
    "credit": "credit",
    "reserve": "order",
    "multiply": "redemption",
    "bonus": "redemption",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command asks for. `kind` and `size`: of the operation on its account, in coins, or the factor of a
    multiply. `sent`: when it was given to the broker first, in seconds of the event loop's clock. `after`: the commands
    that it named then. `is_gift`: the coins are for another account, not for an order.
    """

    account: str
    kind: OperationKind
    size: int
    sent: float
    after: frozenset[UUID] = frozenset()
    is_gift: bool = False

    @property
    def what(self) -> str:
        """Credit, order, redemption or gift."""
        return "gift" if self.is_gift else WHAT[self.kind]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a saga ended, as its account's owner was told. `what`: credit, order, redemption or gift. `state`: of that.
    `added`: the coins that it added. `told`: when that was heard first, by the same clock as `Asked.sent`.
    """

    what: str
    account: str
    state: str
    added: int
    reason: str = ""
    told: float = 0.0


def effect_of(effect: PromoEffect) -> tuple[OperationKind, int]:
    """The kind and size of the operation by which a code takes effect."""
    return ("bonus", effect.amount) if isinstance(effect, Bonus) else ("multiply", effect.factor)


def ending(asked: Asked, view: View, told: float) -> Ending:
    """The ending that a service tells of."""
    added = (view.added or 0) if not isinstance(view, OrderView | GiftView) else 0
    if isinstance(view, OrderView | GiftView) and view.state == "completed":
        added = -(view.amount or 0)
    return Ending(asked.what, asked.account, view.state, added, view.reason or "", told)
