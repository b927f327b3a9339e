"""The services of the system, once. All that lists services is made from this: the broker's exchanges, queues and
rights, databases and roles, passwords, migrations, and what is started. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Participant:
    """A service, by the name that its broker user, database and queues have. `exchange`: where it alone announces.
    `answers`: the events of the user service that it takes, about operations that it asked for. `package`: where its
    code is, if not at the top. `words`: whether its commands, events and queries are in a module `words` of
    its own. `keys`: settings of its own that are secrets, made once for each installation.
    """

    service: str
    exchange: str
    answers: tuple[str, ...] = ()
    package: str = ""
    words: bool = False
    keys: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """The package: `python -m` runs the service, and `.migrate` below it brings its database up to date."""
        return self.package or self.service

    @property
    def folder(self) -> Path:
        """Where the package's files are."""
        return _ROOT.joinpath(*self.module.split("."))


RESERVATION = ("coins.reserved", "coins.refused", "coins.captured", "coins.released", "coins.expired")
"""The answers that a service needs which reserves coins."""

PARTICIPANTS = (
    Participant("user_service", "user"),
    Participant("order_service", "order", answers=RESERVATION),
    Participant(
        "promo_service",
        "promo",
        answers=("coins.credited", "coins.multiplied", "coins.refused"),
        keys=("PROMO_SERVICE_CODE_KEY",),
    ),
    Participant("gift_service", "gift", (*RESERVATION, "coins.credited"), "examples.gift_service", words=True),
)

SERVICES = tuple(each.service for each in PARTICIPANTS)


def participant(service: str) -> Participant:
    """The service of this name. Raises `KeyError`."""
    return {each.service: each for each in PARTICIPANTS}[service]


def takers(answer: str) -> tuple[str, ...]:
    """The services that take this event about operations that they asked for."""
    return tuple(each.service for each in PARTICIPANTS if answer in each.answers)
