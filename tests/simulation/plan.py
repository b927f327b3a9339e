"""What one simulated run is about, made from its seed alone: accounts, goods, codes, sagas, and which faults happen."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args
from uuid import UUID, uuid5

from contracts.base import COINS_MAX

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
JOINS_S = (3.0, 30.0, 300.0)
SPREADS_S = (0.05, 0.5, 10.0)
ITEMS = ("common", "scarce", "sparse", "made", "ordered", "ordered")
SCARCE_ITEMS = ("scarce", "made", "made", "made", "ordered")
"""What is bought, and put again, mostly; and where many want the same pieces while an operator counts them."""
EXTERNAL = ("made", "ordered")
"""Items that a warehouse has."""
CONTENDED = 0.15
RICH = 0.05
"""How often an account holds nearly as much as it may."""

Kind = Literal["credit", "fee", "buy", "redeem", "guest"]
Owner = Literal["accepts", "rejects", "is silent"]
Scarce = Literal["wait", "refuse"]
Meddling = Literal["confirms", "gives up"]


@dataclass(frozen=True, slots=True)
class Goods:
    """An item of the catalog. `stock` None: its pieces are not counted. `scarce`: what becomes of who comes when pieces
    may yet come back.
    """

    name: str
    price: int
    stock: int | None
    external: bool = False
    scarce: Scarce = "wait"


@dataclass(frozen=True, slots=True)
class Put:
    """The operator puts an item again, `at` seconds after the start."""

    at: float
    goods: Goods


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promo code: a factor, or a bonus of `size` coins."""

    code: str
    multiplies: bool
    size: int
    uses_max: int | None
    scarce: Scarce = "wait"


@dataclass(frozen=True, slots=True)
class Saga:
    """One thing a client does, or a guest. `of`: the item, the code, or what the guest asks for. `size`: coins, percent
    or factor, or a quantity. `at`: seconds after the start, or after the end of the saga `follows` was heard. `after`:
    those whose commands it names, whenever they are sent; one below 0 is none. `lasts_s`: its deadline. `owner`: what
    the warehouse says of an order, or the guest of its reservation. `meddled_with`: what the guest says of one that is
    not its own.
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
    owner: Owner = "accepts"
    answers_after_s: float = 0.1
    cancels_after_s: float | None = None
    meddled_with: Meddling | None = None


@dataclass(frozen=True)
class Plan:
    """One run. `calm_at`: when faults stop, in seconds after the start; in the safety mode they last until `horizon_s`,
    more than two of the longest delays. `opened_late`: accounts whose opening races. `puts`: of the catalog, later on.
    `pending_max`, `joins_s`, `lasts_s`: settings of the services; the last is the deadline of sagas that name none.
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
    puts: tuple[Put, ...] = ()
    pending_max: int = 1000
    joins_s: float = 300.0
    lasts_s: float = 300.0
    horizon_s: float = 8000.0

    @property
    def faulty_until(self) -> float:
        """When faults stop, in seconds after the start."""
        return self.calm_at if self.mode == "liveness" else self.horizon_s

    @cached_property
    def rich(self) -> frozenset[str]:
        """The accounts that hold nearly as much as they may."""
        return frozenset(saga.account for saga in self.sagas if saga.size > COINS_MAX // 2)

    @cached_property
    def longest_s(self) -> float:
        """The longest deadline of a saga."""
        return max(self.lasts_s, *(saga.lasts_s or 0.0 for saga in self.sagas))

    def named_by(self, saga: Saga) -> tuple[UUID, ...]:
        """The ids that the saga's command has in `after`."""
        by_number = {each.number: each.id for each in self.sagas}
        return tuple(by_number.get(number) or uuid5(saga.id, str(number)) for number in saga.after)


def plan(seed: int, mode: Mode | None = None, faults: Collection[Fault] | None = None) -> Plan:
    """The run of this seed; `mode` and `faults` replace those that the seed chooses."""
    rng = random.Random(seed)
    own_mode: Mode = "safety" if seed % 2 else "liveness"
    own_faults = frozenset(each for each in FAULTS if rng.random() < 0.55) if rng.random() < 0.9 else frozenset()
    goods = (
        Goods("common", rng.randint(1, 12), 1000),
        Goods("scarce", rng.randint(1, 8), rng.randint(0, 2)),
        Goods("sparse", rng.randint(1, 8), rng.randint(1, 2), scarce="refuse"),
        Goods("made", rng.randint(1, 8), rng.randint(1, 3), external=True),
        Goods("ordered", rng.randint(1, 20), None, external=True),
    )
    promotions = (
        Promotion("DOUBLE", multiplies=True, size=2, uses_max=None),
        Promotion("TRIPLE", multiplies=True, size=3, uses_max=rng.randint(1, 2)),
        Promotion("BONUS", multiplies=False, size=rng.randint(1, 9), uses_max=None),
        Promotion("RARE", multiplies=False, size=rng.randint(1, 9), uses_max=1),
        Promotion("CLOSED", multiplies=True, size=2, uses_max=rng.randint(1, 2), scarce="refuse"),
    )
    accounts = tuple(f"account-{seed}-{n}" for n in range(rng.randint(1, ACCOUNTS_MAX)))
    spread_s = rng.choice(SPREADS_S)
    sagas: list[Saga] = []
    items = SCARCE_ITEMS if rng.random() < CONTENDED else ITEMS
    for account in accounts:
        sagas += _sagas(rng, account, spread_s, sagas, items)
    return Plan(
        seed,
        mode or own_mode,
        own_faults if faults is None else frozenset(faults),
        accounts,
        goods,
        promotions,
        tuple(sagas),
        calm_at=rng.uniform(1.0, 60.0),
        opened_late=tuple(each for each in accounts if rng.random() < 0.1),
        puts=_puts(rng, goods, spread_s, items) if items is SCARCE_ITEMS or rng.random() < 0.3 else (),
        pending_max=3 if rng.random() < 0.05 else 1000,
        joins_s=rng.choice(JOINS_S),
    )


def _puts(rng: random.Random, goods: tuple[Goods, ...], spread_s: float, items: tuple[str, ...]) -> tuple[Put, ...]:
    by_name = {each.name: each for each in goods}
    found = []
    for _ in range(rng.randint(1, 6 if items is SCARCE_ITEMS else 2)):
        put = by_name[rng.choice(items)]
        price = put.price if rng.random() < 0.7 else rng.randint(1, 12)
        stock = None if put.stock is None else rng.choice((0, 0, 1, 2, 3))
        found.append(Put(rng.uniform(0.0, 2 * spread_s + 2.0), replace(put, price=price, stock=stock)))
    return tuple(found)


def _sagas(rng: random.Random, account: str, spread_s: float, others: list[Saga], items: tuple[str, ...]) -> list[Saga]:
    """One account's; `others`: sagas of other accounts."""
    first = len(others)
    size = rng.randint(1, 60)
    if rng.random() < RICH:
        size = COINS_MAX + 1 - size
    sagas = [Saga(first, "credit", _uuid(rng), account, 0.0, size=size)]
    for number in range(first + 1, first + rng.randint(2, SAGAS_MAX)):
        follows = rng.randrange(first, number) if rng.random() < 0.3 else None
        at = rng.uniform(0.0, 0.5 if follows is not None else spread_s)
        sagas.append(_saga(rng, Saga(number, "buy", _uuid(rng), account, at, follows=follows), items))
    return [_naming(rng, each, sagas, others) for each in sagas]


def _saga(rng: random.Random, saga: Saga, items: tuple[str, ...]) -> Saga:
    chance = rng.random()
    lasts_s = rng.choice(DEADLINES_S) if rng.random() < 0.6 else None
    if chance < 0.13:
        return replace(saga, kind="credit", size=rng.randint(1, 20))
    if chance < 0.16:
        return replace(saga, kind="fee", size=rng.choice((1, 10, 33, 50, 100)))
    if chance < 0.40:
        code = rng.choice(("DOUBLE", "DOUBLE", "TRIPLE", "BONUS", "RARE", "CLOSED"))
        return replace(saga, kind="redeem", of=code, lasts_s=lasts_s)
    owner: Owner = rng.choice(("accepts", "accepts", "rejects", "is silent"))
    saga = replace(
        saga,
        lasts_s=lasts_s,
        owner=owner,
        answers_after_s=rng.expovariate(1.0),
        cancels_after_s=rng.uniform(0.0, 3.0) if rng.random() < 0.12 else None,
    )
    if chance < 0.52:
        asked = rng.choice(("out", "out", "in", "credit", "bonus", "multiply", "multiply"))
        if asked == "multiply" and rng.random() < 0.5:
            saga = replace(saga, lasts_s=None, cancels_after_s=rng.uniform(0.0, 1.0))
        return replace(saga, kind="guest", of=asked, size=2 if asked == "multiply" else rng.randint(1, 20))
    meddled_with: Meddling | None = rng.choice(("confirms", "gives up")) if rng.random() < 0.08 else None
    item = rng.choice(items)
    return replace(saga, of=item, size=rng.randint(1, 3 if item == "common" else 2), meddled_with=meddled_with)


def _naming(rng: random.Random, saga: Saga, own: list[Saga], others: list[Saga]) -> Saga:
    """Mostly earlier sagas are named; now and then later ones, each other, others' or none that will ever come."""
    if rng.random() >= (0.3 if saga.kind != "credit" else 0.08):
        return saga
    chance = rng.random()
    earlier = [each.number for each in own if each.number < saga.number]
    any_of_them = [each.number for each in own if each.number != saga.number]
    if chance < 0.7 and earlier:
        named = rng.sample(earlier, min(len(earlier), rng.randint(1, 2)))
    elif chance < 0.88 and any_of_them:
        named = rng.sample(any_of_them, min(len(any_of_them), rng.randint(1, 2)))
    elif chance < 0.94 and others:
        named = [rng.choice(others).number]
    else:
        named = [-1]
    return replace(saga, after=tuple(sorted(named)))


def _uuid(rng: random.Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)
