"""Properties of the rules over moves that hypothesis makes up, and makes small when they fail."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.base import Fact
from tests.domain.histories import NAMED_S
from tests.domain.moves import ARRIVALS, Move, name_of, play
from user_service import account as rules
from user_service.operation import UNBOUNDED, Interval, span

LIMITS = rules.Limits(named_s=NAMED_S)
EXAMPLES = settings(max_examples=300, deadline=None, derandomize=True)

names = st.sampled_from("abcde")
verbs = st.sampled_from(("credit", "reserve", "reserve", "multiply", "bonus", "capture", "release", "cancel", "sweep"))


@st.composite
def moves(draw: st.DrawFn) -> list[Move]:
    """An opened account with coins, and what happens to it; no two operations have the same name."""
    found, at = [Move(0, "open"), Move(0, "credit", "z", draw(st.integers(1, 12)))], 0
    sent: dict[str, Move] = {}
    for _ in range(draw(st.integers(0, 12))):
        at += draw(st.sampled_from((0, 1, 3)))
        verb, name = draw(verbs), draw(names)
        move = Move(at, verb, name)
        if verb in ARRIVALS:
            lasts = draw(st.integers(1, 9)) if verb != "credit" else None
            after = tuple(draw(st.lists(names, max_size=2)))
            move = replace(move, size=draw(st.integers(2, 9)), lasts=lasts, after=after)
            move = replace(sent.setdefault(name, move), at=at)
        found.append(move)
    return found


def play_one(account: rules.Account, move: Move) -> rules.Step:
    """The step of this move; a conflict has no effect."""
    try:
        return play(account, move, LIMITS)
    except rules.Conflict:
        return rules.Step(account)


def play_all(history: list[Move]) -> tuple[rules.Account, list[rules.Line]]:
    """The account behind these moves, and its ledger."""
    account = rules.Account("ada")
    lines: list[rules.Line] = []
    for move in history:
        step = play_one(account, move)
        account = step.account
        lines += step.lines
    return account, lines


def behind_each(account: rules.Account) -> dict[UUID, Interval]:
    """The interval behind each pending operation; what is not bounded is the same, however it was reckoned."""
    found, interval = {}, Interval(account.balance, account.balance)
    for operation in account.log:
        interval = span(operation, interval)
        found[operation.id] = Interval(interval.low, min(interval.high, UNBOUNDED))
    return found


@EXAMPLES
@given(moves())
def test_intervals_only_shrink(history: list[Move]) -> None:
    """What is known once, is known for ever: this is why an answer never has to be taken back."""
    account = rules.Account("ada")
    for move in history:
        later = play_one(account, move).account
        before, after = behind_each(account), behind_each(later)
        for operation_id in before.keys() & after.keys():
            assert before[operation_id].low <= after[operation_id].low
            assert after[operation_id].high <= before[operation_id].high
        account = later


@EXAMPLES
@given(moves())
def test_every_bound_is_ordered_and_never_negative(history: list[Move]) -> None:
    account, _ = play_all(history)
    assert all(0 <= interval.low <= interval.high for interval in behind_each(account).values())


@EXAMPLES
@given(moves())
def test_folding_keeps_the_bounds(history: list[Move]) -> None:
    """The bounds are those of the whole log from the account's first operation, had nothing ever been folded."""
    account, lines = play_all(history)
    unfolded = replace(account, balance=0, log=(*(line.operation for line in lines), *account.log))
    assert rules.bounds(unfolded) == rules.bounds(account)
    assert not account.log or account.log[0].is_open


@EXAMPLES
@given(moves(), st.data())
def test_a_message_that_is_delivered_again_changes_nothing(history: list[Move], data: st.DataObject) -> None:
    """At once or any time later, in its batch or another; unless it was a conflict, it is new then."""
    index = data.draw(st.integers(0, len(history) - 1))
    account, _ = play_all(history[:index])
    try:
        play(account, history[index], LIMITS)
    except rules.Conflict:
        return
    later = data.draw(st.integers(index + 1, len(history)))
    again = replace(history[index], at=history[later - 1].at)
    assert play_all([*history[:later], again, *history[later:]]) == play_all(_with_time(history, later, again))


def _with_time(history: list[Move], later: int, again: Move) -> list[Move]:
    """The same history, in which time is looked at where the other one has the doubled message."""
    return [*history[:later], replace(again, verb="open" if again.verb == "open" else "sweep"), *history[later:]]


@EXAMPLES
@given(moves())
def test_an_answer_said_again_is_the_same_message(history: list[Move]) -> None:
    """Everything that is said twice has the id it had, so the receiving inbox knows it."""
    account = rules.Account("ada")
    said: dict[tuple[str, str], Fact] = {}
    for move in [*history, *(replace(move, at=history[-1].at) for move in history)]:
        step = play_one(account, move)
        account = step.account
        for fact in step.facts:
            first = said.setdefault((fact.type, fact.saga), fact)
            assert fact.announcement_id == first.announcement_id
            assert fact.type == "operation.waiting" or fact == first


@EXAMPLES
@given(moves())
def test_whatever_happens_it_ends(history: list[Move]) -> None:
    """Once all deadlines have passed, nothing is open, nothing waits, and the ledger adds up to the balance."""
    account, lines = play_all([*history, Move(10_000, "sweep")])
    assert account.log == ()
    assert account.balance == sum(line.operation.delta for line in lines)
    assert [line.seq for line in lines] == list(range(1, account.lines + 1))
    assert all(later.balance_before == line.balance_after for line, later in pairwise(lines))


@EXAMPLES
@given(moves())
def test_places_are_never_given_twice(history: list[Move]) -> None:
    """The log is kept in the database by place: its order is that of the places."""
    account = rules.Account("ada")
    for move in history:
        account = play_one(account, move).account
        places = [operation.place for operation in account.log]
        assert places == sorted(set(places))
        assert not places or places[-1] <= account.places


def test_a_place_that_is_kept_until_this_very_moment_has_lapsed() -> None:
    """So the operation that was named comes last, as if it had never been."""
    account, lines = play_all(
        [
            Move(0, "open"),
            Move(0, "credit", "z", 5),
            Move(0, "multiply", "m", 2, after=("a",)),
            Move(NAMED_S, "credit", "a", 3),
        ]
    )
    assert [name_of(line.operation.id) for line in lines] == ["z", "m", "a"]
    assert (account.balance, account.log) == (13, ())
