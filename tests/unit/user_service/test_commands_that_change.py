"""Each command that changes a balance does what its kind says, and is told by the event of its kind."""

from __future__ import annotations

import pytest

from contracts.events import TookEffect
from contracts.roles import ChangesBalance
from tests.unit.user_service.moves import ACCOUNT, CHANGES, fact_of, parse, play, play_table
from user_service.kinds import KINDS

BALANCE = 55
OPENED = f"""
    0  open                          -> opened
    0  credit   c {BALANCE}          -> c credited {BALANCE}
"""
VERBS = [name.partition(".")[2] for name in CHANGES]


@pytest.mark.parametrize("verb", VERBS)
def test_its_event_tells_what_its_kind_answers(verb: str) -> None:
    move = parse(f"1 {verb} x 10")
    asked = fact_of(move)
    assert isinstance(asked, ChangesBalance)
    kind = KINDS[asked.change.kind](asked.change.size)
    state = play_table(OPENED)
    (told,) = play(state, move)
    fact = told.fact
    assert isinstance(fact, TookEffect)
    assert (fact.type, fact.saga, fact.asked_by) == (f"coins.{kind.done}", asked.saga, "commands")
    assert getattr(fact, fact.size_field, kind.size) == 10
    answer = kind.answer(BALANCE)
    assert getattr(fact, fact.answer_field) == answer
    assert state.at[ACCOUNT].state == kind.ends(BALANCE, answer)[0]


@pytest.mark.parametrize("verb", VERBS)
def test_one_that_nothing_withdraws_is_accepted_or_answered_at_once(verb: str) -> None:
    state = play_table(f"{OPENED}        1  reserve  a 20 for 60 -> a reserved 20 until 61")
    (told,) = play(state, parse(f"2 {verb} x 10"))
    assert told.fact.type == "operation.accepted" or isinstance(told.fact, TookEffect)


@pytest.mark.parametrize("verb", VERBS)
def test_sent_again_it_is_told_again_and_does_nothing(verb: str) -> None:
    state = play_table(OPENED)
    first = play(state, parse(f"1 {verb} x 10"))
    held = state.at[ACCOUNT].state
    assert [each.fact for each in play(state, parse(f"2 {verb} x 10"))] == [each.fact for each in first]
    assert state.at[ACCOUNT].state == held
