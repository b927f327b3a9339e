"""Everything that is done to a stage at random: each is over, and the system whole again, when it returns."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

from contracts.topology import SERVICES
from holdfast.delivery.words import Service as Name
from tests.faults.detour import Detour
from tests.faults.operating import alarmed
from tests.faults.proxy import COMMITTED, CONFIRM, Proxy
from tests.faults.replicas import both_work
from tests.faults.traffic import SAGA_S_MAX, Traffic
from tests.faults.villain import clear
from tests.hostile import hostile
from tests.hostile.sending import send, unaccounted
from tests.service.sites import rows, until

BURST = 100
FOUND_OUT_S_MAX = 16.0
"""How long a service may hang on a connection that carries nothing: see `holdfast.delivery.settings.HEARTBEAT_S`."""
STILL_S = (1.0, 9.0)
"""How long a service stands still, or the broker has an alarm."""


class Deck:
    """The order of the kinds of fault: shuffled by the seed, and each comes once before any comes again."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._left: list[str] = []

    def deal(self, kinds: Collection[str]) -> str:
        """The next kind; of all of them once none is left."""
        self._left = self._left or self._random.sample(sorted(kinds), len(kinds))
        return self._left.pop()


@dataclass
class Mischief:
    """Faults of the kinds that `deck` deals, and drawn from `seed` apart from that. `done` counts each kind; `wrong` is
    what was found on the way.
    """

    stage: Detour
    traffic: Traffic
    seed: int
    deck: Deck
    done: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._hostile = self.seed * 1_000_000

    async def one(self) -> str:
        """Do the next thing. Returns its name."""
        do: Mapping[str, Callable[[], Awaitable[None]]] = {
            "service killed": self._kill,
            "broker killed": self._kill_broker,
            "postgres killed": self._kill_postgres,
            "service stood still": self._pause,
            "connections reset": self._reset,
            "connection cut before its answer": self._cut,
            "half-open connections": self._lose,
            "memory alarm": self._alarm,
            "hostile burst": self._burst,
            "started twice": self._double,
            "inbox emptied": self._forget,
        }
        name = self.deck.deal(do)
        await do[name]()
        self.done[name] = self.done.get(name, 0) + 1
        return name

    def _service(self) -> Name:
        return self._random.choice(SERVICES)

    def _proxy(self) -> Proxy:
        return self._random.choice((self.stage.broker, self.stage.postgres))

    async def _kill(self) -> None:
        await self._kill_and_start(self._service())

    async def _kill_broker(self) -> None:
        broker = self.stage.parts.broker
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.start)

    async def _kill_postgres(self) -> None:
        postgres = self.stage.parts.postgres
        await asyncio.to_thread(postgres.kill)
        await asyncio.to_thread(postgres.start)

    async def _pause(self) -> None:
        name = self._service()
        self.stage.signal(name, signal.SIGSTOP)
        try:
            await asyncio.sleep(self._random.uniform(*STILL_S))
        finally:
            self.stage.signal(name, signal.SIGCONT)

    async def _reset(self) -> None:
        proxy = self._proxy()
        await until(lambda: proxy.cut() > 0, "there is a connection to reset")

    async def _cut(self) -> None:
        for proxy, answer in ((self.stage.broker, CONFIRM), (self.stage.postgres, COMMITTED)):
            due = proxy.cuts + 1
            proxy.cut_before(answer)
            await until(partial(_has_cut, proxy, due), "a connection is cut before its answer")

    async def _lose(self) -> None:
        """Over when the services have found out by themselves. Answers may be under way to each shopper when it begins:
        one more than these has come through since.
        """
        proxy = self._proxy()
        dropped = proxy.dropped
        proxy.lose()
        await until(lambda: proxy.dropped > dropped, "something is lost")
        await self.traffic.reaches(self.traffic.shoppers + 1, FOUND_OUT_S_MAX + SAGA_S_MAX)

    async def _alarm(self) -> None:
        async with alarmed(self.stage.parts.broker):
            await asyncio.sleep(self._random.uniform(*STILL_S))

    async def _burst(self) -> None:
        messages = [hostile(seed) for seed in range(self._hostile, self._hostile + BURST)]
        self._hostile += BURST
        await send(self.stage.site, messages)
        await self.traffic.fence()
        self.wrong += await unaccounted(self.stage.site, messages)
        self.wrong += (await clear(self.stage.site, self.traffic.mentioned_in))[1]

    async def _double(self) -> None:
        """A second instance joins, and then the first is killed and started again."""
        name = self._service()
        second = self.stage.instance(name, 2)
        await asyncio.to_thread(second.start)
        try:
            await both_work(self.traffic.client, name, (self.stage.services[name], second))
            await self._kill_and_start(name)
        finally:
            await asyncio.to_thread(second.kill)

    async def _kill_and_start(self, name: Name) -> None:
        await self.stage.kill(name)
        await self.stage.start(name)

    async def _forget(self) -> None:
        """The inbox forgets what it handled; the states of sagas refuse a second effect."""
        await rows(self.stage.site, self._service(), "DELETE FROM inbox")


def _has_cut(proxy: Proxy, due: int) -> bool:
    return proxy.cuts >= due
