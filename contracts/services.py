"""The services of the system, once. All that lists services is made from this: the broker's exchanges, queues and
rights, databases and roles, passwords, and what is started.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Participant:
    """A service. `exchange`: where it alone announces. `answers`: the events of the user service that it takes, about
    operations that it asked for. `words`: the module with its own commands and events, where they are not in contracts.
    """

    service: str
    exchange: str
    answers: tuple[str, ...] = ()
    words: str | None = None


PARTICIPANTS = (
    Participant("user_service", "user"),
    Participant(
        "order_service",
        "order",
        answers=("coins.reserved", "coins.refused", "coins.captured", "coins.released", "coins.expired"),
    ),
    Participant("promo_service", "promo", answers=("coins.credited", "coins.multiplied", "coins.refused")),
)

SERVICES = tuple(each.service for each in PARTICIPANTS)


def takers(answer: str) -> tuple[str, ...]:
    """The services that take this event about operations that they asked for."""
    return tuple(each.service for each in PARTICIPANTS if answer in each.answers)
