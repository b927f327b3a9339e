"""What a service's keeper saves and loads again is as it was, in every kind and state."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, cast
from uuid import uuid4

import pytest

import holdfast.entities.entities
from holdfast.entities.entities import Entities
from holdfast.entities.tables import Note, state_of
from holdfast.pending import Entity, Kind, Operation
from local.site import Site
from tests.service.kept import BEGAN, SAMPLES, Act, Kept, Sample, connected, same

STEPS, SEEDS = 60, 8


class History:
    """A random history of an entity. `memory`: it never left memory. `ids`: of all operations, one that never comes
    included. `seen`: how operations of each kind stood.
    """

    def __init__(self, of: Sample, seed: int) -> None:
        self._of, self._random, self._now = of, Random(seed), BEGAN
        self.key, self.ids, self.seen = str(uuid4()), [uuid4()], set[tuple[str, str]]()
        self.memory = Entities({self.key: Entity(0)}, set())

    def step(self) -> Act:
        """The next step, taken in memory already."""
        act = self._draw()
        act(self.memory)
        self.seen |= {(_name(each.kind), state_of(each)) for each in _all(self.memory.at[self.key])}
        return act

    def _draw(self) -> Act:
        draw, key = self._random, self.key
        self._now += timedelta(seconds=draw.choice((0, 1, 4)))
        now, known = self._now, draw.choice(self.ids[-8:])
        match draw.choices(("arrive", "settle", "release", "withdraw", "refuse", "time"), (8, 3, 3, 1, 1, 1))[0]:
            case "arrive":
                arriving = self._operation()
                return partial(_arrive, key=key, operation=arriving, now=now)
            case "refuse":
                refused = self._operation()
                return lambda state: state.refuse(key, refused, now, "pending_limit")
            case "settle" if self.memory.at[key].find(known):
                return lambda state: state.settle(key, known, now, "order.confirmed")
            case "release":
                return lambda state: state.release(key, known, now, "cancelled", "order.cancelled")
            case "withdraw":
                return lambda state: state.withdraw(key, known, now, "order_failed", "order.failed")
            case _:
                return lambda state: state.pass_time(key, now)

    def _operation(self) -> Operation[int]:
        draw, by = self._random, [None, self._now + timedelta(seconds=self._random.choice((3, 9)))]
        name = draw.choice(list(self._of.sizes))
        after = frozenset(draw.sample(self.ids, draw.choice((0, 0, min(2, len(self.ids))))))
        self.ids.append(uuid4())
        return Operation(
            self.ids[-1],
            self._of.kinds[name](draw.choice(self._of.sizes[name])),
            after,
            self._now + timedelta(seconds=6),
            draw.choice(by),
            draw.choice(by),
            note=Note("commands", "account.credit", draw.choice((None, "00-trace-01"))),
        )


def _arrive(state: Entities, key: str, operation: Operation[int], now: datetime) -> None:
    state.open(key)
    state.arrive(key, operation, now)


def _name(kind: Kind[int] | None) -> str:
    return cast(Any, kind).name if kind else "none"


def _all(entity: Entity[int]) -> list[Operation[int]]:
    return [*entity, *entity.past.values()]


STANDS: Mapping[str, set[str]] = {
    "credit": {"outside", "waiting", "credited", "refused"},
    "bonus": {"outside", "waiting", "credited", "refused"},
    "multiply": {"outside", "waiting", "accepted", "multiplied", "refused"},
    "reserve": {"outside", "waiting", "reserved", "captured", "released", "expired", "refused"},
    "receive": {"outside", "reserved", "captured", "released", "expired", "refused"},
    "take": {"outside", "waiting", "reserved", "captured", "released", "expired", "refused"},
    "restock": {"outside", "restocked", "refused"},
    "claim": {"outside", "waiting", "reserved", "captured", "released", "expired", "refused"},
    "none": {"refused"},
}
"""How an operation of each kind can stand, and does in these histories; `none`: withdrawn before it arrived."""


@SAMPLES
@pytest.mark.parametrize("remembers", [False, True])
async def test_each_kind_in_each_state_comes_back_as_it_was(
    site: Site, of: Sample, remembers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was loaded goes on as what never left memory, whether its keeper remembers it or reads it each time."""
    monkeypatch.setattr(holdfast.entities.entities, "KEPT_FROM", 0)
    seen: set[tuple[str, str]] = set()
    async with connected(site, of) as engine:
        for seed in range(SEEDS):
            history, keeper = History(of, seed), of.keeper()
            for _ in range(STEPS):
                await Kept(engine, of, keeper).change(history.key, history.step(), *history.ids)
                loaded = await Kept(engine, of, of.keeper()).read(history.key, *history.ids)
                same(history.memory.at[history.key], loaded, history.ids)
                keeper = keeper if remembers else of.keeper()
            seen |= history.seen
    wanted = {(name, state) for name in (*of.sizes, "none") for state in STANDS[name]}
    assert wanted <= seen, wanted - seen
