"""A search for a serial order: is there any order of one entity's operations in which one program, doing one at a
time, would have given every answer that was given?

It knows nothing of the order in which a service says that it did them, only when each was sent and answered.
Source: J. M. Wing and C. Gong, Testing and Verifying Concurrent Objects (1993), with the memory of visited
configurations that G. Lowe describes in Testing for Linearizability (2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Done:
    """An operation that was answered. `sent`, `answered`: seconds after the start. `added`: what it was said to have
    added or taken for good; for a reservation, 0 if it was undone. `refused`: for want of coins, pieces or uses.
    """

    sent: float
    answered: float
    kind: str
    size: int
    added: int
    refused: bool = False


def serial_order(history: Sequence[Done], last: int, first: int = 0) -> list[int] | None:
    """The operations' numbers in an order that explains every answer and leads from the first state to the last, if
    there is one.
    """
    must_precede = [sum(1 << j for j, b in enumerate(history) if b.answered < a.sent) for a in history]
    by_answer = sorted(range(len(history)), key=lambda number: history[number].answered)
    everything = (1 << len(history)) - 1
    visited: set[tuple[int, int]] = set()
    order: list[int] = []

    def search(done: int, state: int) -> bool:
        if done == everything:
            return state == last
        if (done, state) in visited:
            return False
        visited.add((done, state))
        for number in by_answer:
            if done >> number & 1 or must_precede[number] & ~done:
                continue
            behind = _execute(history[number], state)
            if behind is None:
                continue
            order.append(number)
            if search(done | 1 << number, behind):
                return True
            order.pop()
        return False

    return order if search(0, first) else None


def _execute(operation: Done, state: int) -> int | None:
    """The state behind the operation, or None if its answer would have been another one."""
    match operation.kind:
        case "credit" | "bonus" | "receive":
            return state + operation.added
        case "multiply":
            return state + operation.added if state * (operation.size - 1) == operation.added else None
        case "fee":
            return state + operation.added if state * operation.size // 100 == -operation.added else None
        case "claim":
            is_enough = state < operation.size
        case _:
            is_enough = state >= operation.size
    return state + operation.added if is_enough != operation.refused else None
