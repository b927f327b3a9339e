"""The search for a serial order finds one where there is one, and none where there is none."""

from __future__ import annotations

import random
from itertools import permutations

from tests.simulation.linear import Done, _execute, serial_order

BUY_AND_DOUBLE = (
    Done(0.0, 1.0, "credit", 50, 50),
    Done(2.0, 9.0, "reserve", 20, 0),
)


def test_the_doubling_that_waited_is_explained() -> None:
    assert serial_order([*BUY_AND_DOUBLE, Done(3.0, 10.0, "multiply", 2, 50)], 100) == [0, 1, 2]


def test_the_naive_saga_is_not() -> None:
    assert serial_order([*BUY_AND_DOUBLE, Done(3.0, 4.0, "multiply", 2, 30)], 80) is None


def test_what_was_answered_before_another_was_sent_stays_before_it() -> None:
    credit, double = Done(0.0, 1.0, "credit", 5, 5), Done(0.5, 0.8, "multiply", 2, 0)
    assert serial_order([credit, double], 5) == [1, 0]
    assert serial_order([credit, Done(2.0, 3.0, "multiply", 2, 0)], 5) is None


def test_a_refusal_needs_too_few_coins() -> None:
    refused = Done(2.0, 3.0, "reserve", 5, 0, refused=True)
    assert serial_order([Done(0.0, 1.0, "credit", 4, 4), refused], 4)
    assert serial_order([Done(0.0, 1.0, "credit", 5, 5), refused], 5) is None


def test_the_last_piece_is_sold_once() -> None:
    first, second = (Done(0.0, 9.0, "take", 1, -1) for _ in range(2))
    assert serial_order([first], 0, first=1) == [0]
    assert serial_order([first, second], -1, first=1) is None
    refused = Done(0.0, 9.0, "take", 1, 0, refused=True)
    assert serial_order([first, refused], 0, first=1) == [0, 1]
    assert serial_order([refused], 1, first=1) is None


def test_a_use_is_given_once() -> None:
    used, refused = Done(0.0, 9.0, "claim", 1, 1), Done(0.0, 9.0, "claim", 1, 0, refused=True)
    assert serial_order([refused, used], 1) == [1, 0]
    assert serial_order([used, used], 2) is None
    assert serial_order([refused], 0) is None


def test_it_agrees_with_trying_every_order() -> None:
    rng = random.Random(1)
    explained = 0
    for _ in range(3000):
        history, balance = _history(rng)
        by_hand = any(_explains(history, order, balance) for order in permutations(range(len(history))))
        found = serial_order(history, balance)
        assert (found is not None) == by_hand, (history, balance)
        assert found is None or _explains(history, tuple(found), balance)
        explained += by_hand
    assert 300 < explained < 2700


def _history(rng: random.Random) -> tuple[list[Done], int]:
    """A serial run of up to five operations; its answers are kept, its times and some of its coins are shaken."""
    coins, history, at = 0, [], 0.0
    for _ in range(rng.randint(1, 5)):
        at += rng.random()
        sent, answered = at - rng.random() * 2, at + rng.random() * 2
        size = rng.randint(1, 6)
        match rng.choice(("credit", "reserve", "multiply")):
            case "credit":
                history.append(Done(sent, answered, "credit", size, size))
            case "reserve":
                kept = -size if coins >= size and rng.random() < 0.5 else 0
                history.append(Done(sent, answered, "reserve", size, kept, refused=coins < size))
            case _:
                history.append(Done(sent, answered, "multiply", 2, coins + rng.choice((0, 0, 0, 1))))
        behind = _execute(history[-1], coins)
        coins = coins if behind is None else behind
    rng.shuffle(history)
    return history, coins + rng.choice((0, 0, 0, 1))


def _explains(history: list[Done], order: tuple[int, ...], balance: int) -> bool:
    coins: int | None = 0
    for place, number in enumerate(order):
        if any(history[later].answered < history[number].sent for later in order[place + 1 :]):
            return False
        coins = _execute(history[number], coins) if coins is not None else None
    return coins == balance
