"""One program that does one operation at a time on a number: coins, pieces in stock, uses of a code.

It is what all else is compared with, and knows nothing of the services' own classes and walks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

COINS_MAX = 2**53 - 1
"""No account holds more."""

Answer = int | Literal["refused"]


def answer(kind: str, size: int, state: int) -> Answer:
    """What the program answers: what is added or set aside, or that there is too little, or too much."""
    match kind:
        case "restock":
            return size
        case "credit" | "bonus" | "receive":
            return size if state + size <= COINS_MAX else "refused"
        case "multiply":
            return state * (size - 1) if state * size <= COINS_MAX else "refused"
        case "fee":
            return state * size // 100
        case "reserve" | "take":
            return size if state >= size else "refused"
        case "claim":
            return 1 if state < size else "refused"
        case _:
            raise AssertionError(kind)


def ends(kind: str, size: int, state: int) -> tuple[int, ...]:
    """The states in which the operation may leave: captured first, released last; one, if it is final."""
    told = answer(kind, size, state)
    if told == "refused":
        return (state,)
    match kind:
        case "reserve" | "take":
            return (state - told, state)
        case "receive" | "claim":
            return (state + told, state)
        case "fee":
            return (state - told,)
        case _:
            return (state + told,)


@dataclass(frozen=True, slots=True)
class Seen:
    """An operation as it stands. `end`: the number of the end that it took; None: open, or without effect.
    `withdrawn`: its end is not an answer. `revocable`: it may be withdrawn while it waits.
    """

    kind: str
    size: int
    status: str
    answer: object = None
    end: int | None = None
    withdrawn: bool = False
    revocable: bool = True
    accepted: bool = False


def wrong(state: int, log: Sequence[Seen]) -> tuple[str, Seen] | None:
    """The first operation of the log that is answered otherwise than in every world, or waits although all worlds
    answer alike, or is accepted although one refuses it, or not although none does; and what is wrong with it.
    """
    states: Collection[int] = {state}
    for each in log:
        if each.withdrawn:
            continue
        told = {answer(each.kind, each.size, at) for at in states}
        if min(states) < 0:
            return "never negative", each
        if each.status == "waiting":
            if len(told) == 1:
                return "needless wait", each
            if each.accepted and ("refused" in told or each.revocable):
                return "accepted too early", each
            if not each.accepted and "refused" not in told and not each.revocable:
                return "acceptance is told", each
        elif told != {each.answer}:
            return "right answer", each
        states = _behind(each, states)
    return ("never negative", log[-1]) if min(states) < 0 else None


def _behind(each: Seen, states: Iterable[int]) -> set[int]:
    if each.end is not None:
        return {ends(each.kind, each.size, at)[each.end] for at in states}
    behind = {end for at in states for end in ends(each.kind, each.size, at)}
    return behind.union(states) if each.status == "waiting" and each.revocable else behind
