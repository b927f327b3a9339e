"""What one simulated run is about, made from its seed alone: accounts, goods, codes, sagas, and which faults happen."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

Fault = Literal["double", "delay", "reorder", "crash", "skew", "resend", "cut", "replay", "purge"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
"""`double`: a message is delivered twice. `delay`: it takes seconds, or an hour. `reorder`: messages overtake each
other. `crash`: services die at each step. `skew`: the services' clocks disagree. `resend`: clients send again. `cut`: a
publish is not confirmed, though it may have arrived. `replay`: the inbox has forgotten a message that comes again.
`purge`: an operator empties a queue."""

Mode = Literal["safety", "liveness"]
"""`safety`: faults for ever. `liveness`: faults stop, and every saga must end within its bounds."""

ACCOUNTS_MAX, SAGAS_MAX = 4, 12
DEADLINES_S = (2.0, 5.0, 20.0, 120.0)
SPREADS_S = (0.05, 0.5, 10.0)

Kind = Literal["credit", "buy", "redeem"]
Warehouse = Literal["accepts", "rejects", "is silent"]


@dataclass(frozen=True, slots=True)
class Goods:
    """An item of the catalog."""

    name: str
    price: int
    stock: int
    external: bool


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promo code: a factor, or a bonus of `size` coins."""

    code: str
    multiplies: bool
    size: int
    uses_max: int | None


@dataclass(frozen=True, slots=True)
class Saga:
    """One thing a client does. `of`: the item or code; `size`: coins or quantity. `at`: seconds after the start, or
    after the end of the saga `follows` was heard. `after`: sagas whose commands it names, and
    those that they name in turn. `lasts_s`: its deadline.
    """

    number: int
    kind: Kind
    id: UUID
    account: str
    at: float
    of: str = ""
    size: int = 1
    follows: int | None = None
    after: tuple[int, ...] = ()
    lasts_s: float | None = None
    warehouse: Warehouse = "accepts"
    answers_after_s: float = 0.1
    cancels_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. `calm_at`: when faults stop, in seconds after the start; in the safety mode they last until `horizon_s`,
    more than two of the longest delays. `opened_late`: accounts whose opening races.
    `pending_max`, `named_s`, `lasts_s`: settings of the services; the last is the deadline of sagas that name none.
    """

    seed: int
    mode: Mode
    faults: frozenset[Fault]
    accounts: tuple[str, ...]
    goods: tuple[Goods, ...]
    promotions: tuple[Promotion, ...]
    sagas: tuple[Saga, ...]
    calm_at: float
    opened_late: tuple[str, ...] = ()
    pending_max: int = 1000
    named_s: float = 30.0
    lasts_s: float = 900.0
    horizon_s: float = 8000.0

    @property
    def faulty_until(self) -> float:
        """When faults stop, in seconds after the start."""
        return self.calm_at if self.mode == "liveness" else self.horizon_s


def plan(seed: int, mode: Mode | None = None, faults: Collection[Fault] | None = None) -> Plan:
    """The run of this seed; `mode` and `faults` replace those that the seed chooses."""
    rng = random.Random(seed)
    own_mode: Mode = "safety" if seed % 2 else "liveness"
    own_faults = frozenset(each for each in FAULTS if rng.random() < 0.55) if rng.random() < 0.9 else frozenset()
    goods = (
        Goods("common", rng.randint(1, 12), 1000, external=False),
        Goods("scarce", rng.randint(1, 12), rng.randint(0, 2), external=False),
        Goods("ordered", rng.randint(1, 20), 0, external=True),
    )
    promotions = (
        Promotion("DOUBLE", multiplies=True, size=2, uses_max=None),
        Promotion("TRIPLE", multiplies=True, size=3, uses_max=rng.randint(1, 2)),
        Promotion("BONUS", multiplies=False, size=rng.randint(1, 9), uses_max=None),
        Promotion("RARE", multiplies=False, size=rng.randint(1, 9), uses_max=1),
    )
    accounts = tuple(f"account-{seed}-{n}" for n in range(rng.randint(1, ACCOUNTS_MAX)))
    spread_s = rng.choice(SPREADS_S)
    sagas: list[Saga] = []
    for account in accounts:
        sagas += _sagas(rng, account, spread_s, len(sagas))
    chosen = own_faults if faults is None else frozenset(faults)
    calm_at, late = rng.uniform(1.0, 60.0), tuple(each for each in accounts if rng.random() < 0.1)
    pending_max = 3 if rng.random() < 0.05 else 1000
    return Plan(seed, mode or own_mode, chosen, accounts, goods, promotions, tuple(sagas), calm_at, late, pending_max)


def _sagas(rng: random.Random, account: str, spread_s: float, first: int) -> list[Saga]:
    sagas = [Saga(first, "credit", _uuid(rng), account, 0.0, size=rng.randint(1, 60))]
    for number in range(first + 1, first + rng.randint(2, SAGAS_MAX)):
        earlier = [each.number for each in sagas]
        follows = rng.choice(earlier) if rng.random() < 0.3 else None
        named = rng.sample(sagas, min(len(sagas), rng.randint(1, 2))) if rng.random() < 0.3 else ()
        after = tuple(sorted({each.number for each in named}.union(*(each.after for each in named))))
        of = (number, _uuid(rng), account, rng.uniform(0.0, 0.5 if follows is not None else spread_s), follows, after)
        sagas.append(_saga(rng, *of))
    return sagas


def _saga(
    rng: random.Random, number: int, id_: UUID, account: str, at: float, follows: int | None, after: tuple[int, ...]
) -> Saga:
    chance = rng.random()
    lasts_s = rng.choice(DEADLINES_S) if rng.random() < 0.6 else None
    if chance < 0.15:
        return Saga(number, "credit", id_, account, at, "", rng.randint(1, 20), follows, after)
    if chance < 0.45:
        code = rng.choice(("DOUBLE", "DOUBLE", "TRIPLE", "BONUS", "RARE"))
        return Saga(number, "redeem", id_, account, at, code, 1, follows, after, lasts_s)
    warehouse: Warehouse = rng.choice(("accepts", "accepts", "rejects", "is silent"))
    return Saga(
        number,
        "buy",
        id_,
        account,
        at,
        rng.choice(("common", "scarce", "ordered", "ordered")),
        rng.randint(1, 3),
        follows,
        after,
        lasts_s,
        warehouse,
        rng.expovariate(1.0),
        rng.uniform(0.0, 3.0) if rng.random() < 0.12 else None,
    )


def _uuid(rng: random.Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)
