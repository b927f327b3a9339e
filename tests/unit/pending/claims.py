"""Tries what a kind claims of itself when it has a hull. Use it for each new kind."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement, pairwise

from holdfast.pending import NumberKind, Refused


def broken_claim(kind: NumberKind, states: Sequence[int]) -> str | None:
    """The first claim of the kind that does not hold for some pair of these ascending states; None if all hold.

    Between two states: if both get the same answer, all do; if neither is refused, none is; and the hull holds every
    end of every state. At each state: what the kind adds are its ends, and how many there are depends on the answer.
    """
    assert all(one < other for one, other in pairwise(states))
    answers = {state: kind.answer(state) for state in states}
    ends = {
        state: (state,) if isinstance(answer, Refused) else kind.ends(state, answer)
        for state, answer in answers.items()
    }
    counts: dict[object, int] = {}
    for state, answer in answers.items():
        adds = (0,) if isinstance(answer, Refused) else kind.adds(answer)
        if ends[state] != tuple(state + amount for amount in adds):
            return f"at {state}: ends {ends[state]}, but adds {adds}"
        if counts.setdefault(answer, len(ends[state])) != len(ends[state]):
            return f"at {state}: as many ends as nowhere else with answer {answer}"
    for least, greatest in combinations_with_replacement(states, 2):
        hull = kind.hull(least, greatest)
        if hull is None:
            continue
        among = {answers[least], answers[greatest]}
        refusable = any(isinstance(answer, Refused) for answer in among)
        for state in (state for state in states if least <= state <= greatest):
            where = f"at {state}, between {least} and {greatest}"
            if len(among) == 1 and answers[state] not in among:
                return f"{where}: another answer, {answers[state]}"
            if isinstance(answers[state], Refused) and not refusable:
                return f"{where}: refused"
            if not hull[0] <= min(ends[state]) <= max(ends[state]) <= hull[1]:
                return f"{where}: ends {ends[state]} outside of {hull}"
    return None
