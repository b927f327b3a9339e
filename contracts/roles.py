"""The roles of events: what an event asks of an account. The user service acts on roles alone, so a new service takes
part by giving its own events these roles (docs/guides/add-a-service.md).

The saga that an event belongs to is the operation's id. Answers carry `asked_by`, the exchange by which the role came.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple, Protocol

from pydantic import Field

from contracts.base import AccountId, After, Coins, Factor, ShopFact
from holdfast.delivery.words import Contract, Seconds, Service


class Credit(Contract):
    """The balance grows by `amount` coins."""

    kind: Literal["credit"] = "credit"
    amount: Coins

    @property
    def size(self) -> int:
        return self.amount


class Multiply(Contract):
    """The balance becomes `factor` times what it was."""

    kind: Literal["multiply"] = "multiply"
    factor: Factor

    @property
    def size(self) -> int:
        return self.factor


class Bonus(Contract):
    """The balance grows by `amount` coins."""

    kind: Literal["bonus"] = "bonus"
    amount: Coins

    @property
    def size(self) -> int:
        return self.amount


class Change(Protocol):
    """A change of a balance, final once it is answered. `kind` names the kind of operation, `size` its one figure."""

    @property
    def kind(self) -> str: ...

    @property
    def size(self) -> int: ...


class ChangeOf(NamedTuple):
    """A change that is not itself a part of a message."""

    kind: str
    size: int


PromoEffect = Annotated[Multiply | Bonus, Field(discriminator="kind")]


class _Role(ShopFact):
    consumers: ClassVar[tuple[Service, ...]] = ("user_service",)

    account_id: AccountId


class AsksReservation(_Role):
    """Asks for coins to be set aside, or for room for coins that are to come (`direction` `in`).

    It is answered by `coins.reserved` or `coins.refused`; `operation.waiting` says that it waits. The reservation lasts
    `hold_s` seconds; within them it is confirmed or given up, else `coins.expired` says that it ended.
    """

    direction: ClassVar[Literal["out", "in"]] = "out"

    amount: Coins
    hold_s: Seconds
    after: After = ()


class ConfirmsReservation(_Role):
    """Its reservation is to be captured. Answered by `coins.captured`, or by how it ended before."""


class GivesUpReservation(_Role):
    """Its operation is to have no effect: a reservation is released (`coins.released`), what is unanswered is withdrawn
    (`coins.refused` with `why`), what has not arrived is refused when it does. What took effect stays.
    """

    why: ClassVar[str]


class ChangesBalance(_Role):
    """Changes a balance: answered when its answer is certain, by `coins.credited`, `coins.multiplied`, … or
    `coins.refused`.
    """

    @property
    def change(self) -> Change:
        """What is to be done."""
        raise NotImplementedError

    @property
    def waits_s(self) -> float | None:
        """Seconds for which it may wait before it is withdrawn; None: nothing withdraws it, so that it is accepted as
        soon as it has joined the account's operations.
        """
        return None

    @property
    def joins_s(self) -> float | None:
        """Seconds for which it may stand outside for those it names in `after`; None: as the user service says."""
        return None
