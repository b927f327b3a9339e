"""Random histories of one account, each made from a seed, so small in their numbers that operations often collide."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.domain.moves import Move
from user_service.account import Limits

NAMES = "abcdefgh"
ARRIVING = ("credit", "reserve", "reserve", "reserve", "multiply", "multiply", "bonus")
ENDING = ("capture", "capture", "release", "cancel")
SIZE_MAX = {"credit": 9, "bonus": 4, "reserve": 8, "multiply": 3}
NAMED_S = 4
AFTER_ALL_S = 100


def limits_of(seed: int) -> Limits:
    """The limits of this history; one in sixteen has a log that is soon full."""
    return Limits(pending=4 if seed % 16 == 0 else 1000, named_s=NAMED_S)


def history(seed: int) -> list[Move]:
    """The moves of this seed. The last ones settle everything."""
    rng = random.Random(seed)
    waiting_names = [*NAMES[: rng.randint(3, len(NAMES))]]
    moves = [Move(0, "open")] if rng.random() < 0.97 else []
    if rng.random() < 0.8:
        moves.append(Move(0, "credit", "z", rng.randint(1, 12)))
    at = 0
    for _ in range(rng.randint(3, 9)):
        at += rng.choice((0, 0, 1, 1, 2, 5))
        moves.append(_move(rng, at, moves, waiting_names))
    return moves + _settled(rng, at, moves)


def _move(rng: random.Random, at: int, moves: list[Move], names: list[str]) -> Move:
    chance = rng.random()
    if chance < 0.62 and names:
        # Mostly in order, now and then one that others may have named or cancelled before.
        name = names.pop(0 if rng.random() < 0.6 else rng.randrange(len(names)))
        return _arrival(rng, at, name)
    if chance < 0.90:
        return Move(at, rng.choice(ENDING), rng.choice(NAMES[:6]))
    if chance < 0.96 and moves:
        return replace(rng.choice(moves), at=at)
    return Move(at, rng.choice(("sweep", "sweep", "open")))


def _arrival(rng: random.Random, at: int, name: str) -> Move:
    verb = rng.choice(ARRIVING)
    size = rng.randint(2 if verb == "multiply" else 1, SIZE_MAX[verb])
    lasts = rng.randint(1, 9) if verb == "reserve" or (verb != "credit" and rng.random() < 0.5) else None
    after = tuple(rng.sample(NAMES, rng.randint(1, 2))) if rng.random() < 0.25 else ()
    return Move(at, verb, name, size, lasts, after)


def _settled(rng: random.Random, at: int, moves: list[Move]) -> list[Move]:
    reserved = [move.name for move in moves if move.verb == "reserve"]
    rng.shuffle(reserved)
    ends = [Move(at, rng.choice(ENDING), name) for name in reserved if rng.random() < 0.7]
    return [*ends, Move(at + AFTER_ALL_S, "sweep")]
