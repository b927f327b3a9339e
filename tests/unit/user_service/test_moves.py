"""What the rules promise, as tables of moves (the language is in moves.py). Each opens an account in its first line."""

from __future__ import annotations

import pytest

from tests.unit.user_service.moves import play_table
from user_service.handlers import Limits

BUY_THEN_DOUBLE = """
    0  open                      -> opened
    0  credit   c 50             -> c credited 50
    1  reserve  a 20 for 60      -> a reserved 20 until 61
    2  multiply m 2  for 30      -> m waits at 1 for a until 32
       balance 50 | 30..100 | a m
"""

TABLES = {
    "the purchase fails, then the doubling doubles all fifty": f"""{BUY_THEN_DOUBLE}
        3  release  a                -> a released 20; m multiplied by 2 +50
           balance 100 | 100..100 |
    """,
    "the purchase goes through, and the doubling doubles what is left": f"""{BUY_THEN_DOUBLE}
        3  capture  a                -> a captured 20; m multiplied by 2 +30
           balance 60 | 60..60 |
    """,
    "two reservations never wait for each other while the coins suffice": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  reserve  a 20 for 60      -> a reserved 20 until 61
        1  reserve  b 30 for 60      -> b reserved 30 until 61
           balance 50 | 0..50 | a b
        2  capture  b                -> b captured 30
           balance 50 | 0..20 | a b
        3  release  a                -> a released 20
           balance 20 | 20..20 |
    """,
    "a purchase behind a waiting doubling goes through where the worst case covers it": f"""{BUY_THEN_DOUBLE}
        3  reserve  b 30 for 60      -> b reserved 30 until 63
           balance 50 | 0..100 | a m b
        4  capture  b                -> b captured 30
        5  release  a                -> a released 20; m multiplied by 2 +50
           balance 70 | 70..70 |
    """,
    "a purchase is not refused on coins that a failing order may give back": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  reserve  a 20 for 60      -> a reserved 20 until 61
        2  reserve  b 40 for 90      -> b waits at 1 for a until 61
           balance 50 | 10..50 | a b
        3  release  a                -> a released 20; b reserved 40 until 92
        4  capture  b                -> b captured 40
           balance 10 | 10..10 |
    """,
    "and it is refused as soon as they are spent": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  reserve  a 20 for 60      -> a reserved 20 until 61
        2  reserve  b 40 for 90      -> b waits at 1 for a until 61
        3  capture  a                -> a captured 20; b refused insufficient_coins
           balance 30 | 30..30 |
    """,
    "a purchase that even the best case does not cover is refused at once": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  reserve  a 20 for 60      -> a reserved 20 until 61
        2  reserve  b 51 for 60      -> b refused insufficient_coins
           balance 50 | 30..50 | a b
    """,
    "a doubling waits for none that come later": f"""{BUY_THEN_DOUBLE}
        3  reserve  b 5 for 900      -> b reserved 5 until 903
        4  capture  a                -> a captured 20; m multiplied by 2 +30
           balance 60 | 55..60 | b
    """,
    "credits and bonuses never wait, and what comes behind them counts on them": f"""{BUY_THEN_DOUBLE}
        3  credit   d 7              -> d credited 7
        3  bonus    e 3 for 5        -> e credited 3
        3  reserve  b 40 for 60      -> b reserved 40 until 63
           balance 50 | 0..110 | a m d e b
    """,
    "behind a purchase that waits, what every way grants is granted at once": """
        0  open                      -> opened
        0  credit   c 3              -> c credited 3
        1  reserve  a 2 for 9        -> a reserved 2 until 10
        1  reserve  b 2 for 9        -> b waits at 1 for a until 10
        1  reserve  s 1 for 9        -> s reserved 1 until 10
           balance 3 | 0..3 | a b s
        2  capture  a                -> a captured 2; b refused insufficient_coins
           balance 1 | 0..1 | s
    """,
    "the doubling is sent second and arrives first": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  multiply m 2 for 60 after a -> m waits at 0 for a until 61
           balance 50 | 50..50 |  | m
        2  reserve  a 20 for 60      -> a reserved 20 until 62
           balance 50 | 30..100 | a m
        3  capture  a                -> a captured 20; m multiplied by 2 +30
           balance 60 | 60..60 |
    """,
    "one that nothing can withdraw is accepted as soon as it has joined, and what it surely gives can be spent": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  multiply m 2 after a      -> m waits at 0 for a until 61
        2  reserve  a 20 for 60      -> a reserved 20 until 62; m accepted at 1 for a until 62
           balance 50 | 60..100 | a m
        3  cancel   m                -> nothing
        3  refuse   m                -> nothing
        3  reserve  b 60 for 60      -> b reserved 60 until 63
        3  reserve  d 1 for 9        -> d waits at 3 for a,m,b until 12
        4  release  a                -> a released 20; m multiplied by 2 +50; d reserved 1 until 12
        5  capture  b                -> b captured 60
        5  capture  d                -> d captured 1
           balance 39 | 39..39 |
    """,
    "what is named and never comes holds up nobody, and who named it is refused with that reason": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  multiply m 2 after x      -> m waits at 0 for x until 61
        2  credit   d 10             -> d credited 10
        2  multiply n 2              -> n multiplied by 2 +60
        3  reserve  a 20 for 9       -> a reserved 20 until 12
        4  capture  a                -> a captured 20
           balance 100 | 100..100 |  | m
        61 sweep                     -> m refused named_missing
        62 reserve  x 20 for 9       -> x reserved 20 until 71
    """,
    "an acceptance is not told of what the same message answers": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  reserve  a 20 for 60      -> a reserved 20 until 61
        1  multiply n 2 for 10 after x -> n waits at 1 for x until 11
        2  multiply m 2 after n      -> m waits at 1 for n until 62
        61 sweep                     -> n refused named_missing; a expired 20; m multiplied by 2 +50
           balance 100 | 100..100 |
    """,
    "two that name each other both end": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  reserve  a 20 for 9 after b -> a waits at 0 for b until 10
        2  reserve  b 20 for 9 after a -> b waits at 0 for a until 11
        10 sweep                     -> a refused named_missing; b reserved 20 until 11
        11 sweep                     -> b expired 20
           balance 50 | 50..50 |
    """,
    "nothing is answered before it joins, not even a credit": """
        0  open                      -> opened
        1  credit   c 50 after a     -> c waits at 0 for a until 61
        1  reserve  b 5 for 9        -> b refused insufficient_coins
        2  reserve  a 5 for 9        -> a refused insufficient_coins; c credited 50
    """,
    "c after b, b after a: c arrives first, then b, then a": """
        0  open                      -> opened
        0  credit   z 10             -> z credited 10
        1  multiply c 2 for 60 after b -> c waits at 0 for b until 61
        2  multiply b 3 for 60 after a -> b waits at 0 for a until 62
           balance 10 | 10..10 |  | c b
        3  reserve  a 4 for 60       -> a reserved 4 until 63
           balance 10 | 6..60 | a b c
        4  capture  a                -> a captured 4; b multiplied by 3 +12; c multiplied by 2 +18
           balance 36 | 36..36 |
    """,
    "naming what has arrived already, or itself, changes nothing": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  multiply m 2 after c,m    -> m multiplied by 2 +50
           balance 100 | 100..100 |
    """,
    "a cancel that overtakes its order leaves a tombstone": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  cancel   a                -> nothing
        2  reserve  a 20 for 60      -> a refused cancelled
        3  reserve  a 20 for 60      -> a refused cancelled
        3  capture  a                -> conflict
           balance 50 | 50..50 |
    """,
    "so it does for one that is named, and lets join who named it": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  multiply m 2 for 60 after a -> m waits at 0 for a until 61
        2  release  a                -> m multiplied by 2 +50
        3  reserve  a 20 for 60      -> a refused order_failed
        4  multiply n 2 after a      -> n multiplied by 2 +100
    """,
    "a reservation ends at its deadline though nobody sweeps, and its capture comes too late": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  reserve  a 20 for 9       -> a reserved 20 until 10
        10 capture  a                -> a expired 20
        11 capture  a                -> a expired 20
        11 release  a                -> nothing
           balance 50 | 50..50 |
    """,
    "one second before, it still counts": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  reserve  a 20 for 9       -> a reserved 20 until 10
        9  capture  a                -> a captured 20
        10 sweep                     -> nothing
           balance 30 | 30..30 |
    """,
    "several deadlines that passed have their effect in order of deadline": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  reserve  a 20 for 20      -> a reserved 20 until 21
        1  reserve  b 30 for 5       -> b reserved 30 until 6
        1  reserve  d 10 for 10      -> d waits at 2 for a,b until 11
        1  multiply m 2 for 8        -> m waits at 3 for a,b,d until 9
        99 sweep                     -> b expired 30; d reserved 10 until 11; m refused wait_deadline_passed; \
d expired 10; a expired 20
           balance 50 | 50..50 |
    """,
    "an operation that waits is withdrawn at its deadline": f"""{BUY_THEN_DOUBLE}
        32 sweep                     -> m refused wait_deadline_passed
           balance 50 | 30..50 | a m
        33 multiply m 2 for 30       -> m refused wait_deadline_passed
        34 capture  a                -> a captured 20
           balance 30 | 30..30 |
    """,
    "an operation that waits can be withdrawn, and only once": f"""{BUY_THEN_DOUBLE}
        3  refuse   m                -> m refused promo_refused
        4  refuse   m                -> nothing
        5  release  a                -> a released 20
           balance 50 | 50..50 |
    """,
    "a withdrawn purchase lets the ones behind it go": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  reserve  a 20 for 60      -> a reserved 20 until 61
        2  reserve  b 40 for 60      -> b waits at 1 for a until 61
        3  reserve  d 30 for 60      -> d waits at 2 for a,b until 62
        4  capture  b                -> conflict
        4  cancel   b                -> b refused cancelled; d reserved 30 until 63
           balance 50 | 0..50 | a b d
    """,
    "what waits behind a waiting purchase is told when that one's hold ends": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        0  reserve  a 20 for 10      -> a reserved 20 until 10
        0  reserve  b 40 for 60      -> b waits at 1 for a until 10
        0  multiply m 2              -> m accepted at 2 for a,b until 60
        0  multiply n 2              -> n accepted at 3 for a,b,m until 60
        10 sweep                     -> a expired 20; b reserved 40 until 60
        60 sweep                     -> b expired 40; m multiplied by 2 +50; n multiplied by 2 +100
    """,
    "an account that is not open refuses, and remembers that": """
        0  credit   c 50             -> c refused unknown_account
        1  open                      -> opened
        1  open                      -> opened
        2  credit   c 50             -> c refused unknown_account
        2  capture  x                -> conflict
           balance 0 | 0..0 |
    """,
    "a command that is repeated is answered as it was": f"""{BUY_THEN_DOUBLE}
        3  credit   c 50             -> c credited 50
        3  reserve  a 20 for 60      -> a reserved 20 until 61
        3  multiply m 2 for 30       -> m waits at 1 for a until 32
           balance 50 | 30..100 | a m
        4  capture  a                -> a captured 20; m multiplied by 2 +30
        5  multiply m 2 for 30       -> m multiplied by 2 +30
        5  reserve  a 20 for 60      -> a captured 20
           balance 60 | 60..60 |
    """,
    "a settlement that is doubled, or contradicts an earlier one, changes nothing": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  reserve  a 20 for 60      -> a reserved 20 until 61
        1  reserve  b 10 for 60      -> b reserved 10 until 61
        2  capture  a                -> a captured 20
        3  capture  a                -> a captured 20
        3  release  a                -> nothing
        4  release  b                -> b released 10
        5  release  b                -> nothing
        5  capture  b                -> b released 10
        6  reserve  b 10 for 60      -> b released 10
           balance 30 | 30..30 |
    """,
    "an id that was used for another operation is a conflict, or refused where a saga must end": """
        0  open                      -> opened
        0  credit   c 50             -> c credited 50
        1  credit   c 51             -> conflict
        1  reserve  c 50 for 9       -> c refused id_used
        1  capture  c                -> conflict
           balance 50 | 50..50 |
    """,
}

FULL_LOG = """
    0  open                      -> opened
    0  credit   c 50             -> c credited 50
    1  reserve  a 20 for 60      -> a reserved 20 until 61
    2  multiply m 2 for 60 after x -> m waits at 1 for x until 62
    3  reserve  b 5 for 60       -> b reserved 5 until 63
    3  credit   d 1              -> d refused pending_limit
       balance 50 | 25..50 | a b | m
    4  capture  a                -> a captured 20
    5  credit   e 1              -> e credited 1
    6  credit   d 1              -> d refused pending_limit
"""
"""What stands outside counts as well."""

LARGEST = """
    0  open                                -> opened
    0  credit   c 9007199254740990         -> c credited 9007199254740990
    1  credit   d 2                        -> d refused balance_limit
    1  bonus    e 2                        -> e refused balance_limit
    1  multiply m 2                        -> m refused balance_limit
    2  reserve  a 9007199254740990 for 9   -> a reserved 9007199254740990 until 11
    3  credit   f 2                        -> f waits at 1 for a until 11
    4  capture  a                          -> a captured 9007199254740990; f credited 2
    5  credit   g 9007199254740990         -> g refused balance_limit
    5  credit   h 9007199254740989         -> h credited 9007199254740989
       balance 9007199254740991 | 9007199254740991..9007199254740991 |
"""
"""A balance would exceed 2**53 - 1 coins: refused, as soon as that is certain."""


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_moves(table: str) -> None:
    play_table(table)


def test_a_full_log_refuses_at_the_door() -> None:
    play_table(FULL_LOG, Limits(pending=3))


def test_no_more_wait_than_may() -> None:
    crowded = f"""{BUY_THEN_DOUBLE}
        2  multiply n 2 for 30       -> n waits at 2 for a,m until 32
        2  multiply k 2 for 30       -> k refused pending_limit
        2  reserve  d 1 for 9 after x -> d refused pending_limit
        2  reserve  b 1 for 9        -> b reserved 1 until 11
        2  credit   e 5              -> e credited 5
        3  capture  a                -> a captured 20; m multiplied by 2 +30; n multiplied by 2 +60
        4  multiply l 2 for 9        -> l waits at 2 for b until 11
    """
    play_table(crowded, Limits(waiting=2))


def test_one_that_names_who_stands_outside_needs_room_and_one_that_names_who_has_joined_does_not() -> None:
    crowded = f"""{BUY_THEN_DOUBLE}
        2  multiply n 2 for 30 after x -> n waits at 2 for x until 32
        2  credit   d 5 after n      -> d refused pending_limit
        2  credit   e 5 after a      -> e credited 5
    """
    play_table(crowded, Limits(waiting=2))


def test_no_balance_can_exceed_the_largest() -> None:
    play_table(LARGEST)


def test_a_table_that_is_wrong_fails() -> None:
    with pytest.raises(AssertionError, match="! 0 open -> opened"):
        play_table("0 open -> nothing")
    with pytest.raises(AssertionError, match=r"! balance 0 \| 0\.\.0 \|"):
        play_table("balance 1 | 0..0 |")
