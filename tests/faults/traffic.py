"""Shoppers who keep buying, doubling and cancelling while the system is hurt, and who remember what they were told.

async with Traffic(stage, seed=1) as traffic:
    ...  # hurt the stage, and make it whole
    await traffic.settled("what was done")
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Self, TypeVar
from uuid import UUID, uuid4

import aio_pika

from client.audit import read
from client.client import Client, Sent
from client.errors import Unconfirmed, Unreachable
from contracts.roles import Multiply
from holdfast.delivery.envelope import Envelope, encode
from holdfast.delivery.words import Fact
from tests.faults import gifts, latecomer, shop
from tests.faults.heard import Heard, unheard
from tests.faults.saga import Asked, Ending, View, ending
from tests.faults.serial import contradictions, histories
from tests.faults.shopper import Shopper
from tests.faults.stage import Stage
from tests.faults.verdict import findings

Done = TypeVar("Done")

DEADLINE_S_MAX = 8.0
"""No saga of this traffic is to end later than this, if all is well."""
GRACE_S = 10.0
"""How long after its deadline a saga may still be open once the fault is over."""
SAGA_S_MAX = DEADLINE_S_MAX + GRACE_S
"""Once a fault is over, no saga of this traffic is open for longer than this."""
SEND_S_MAX = 15.0
HEAR_S_MAX = 90.0
"""For tens of thousands of announcements, on a busy machine."""
PAUSE_S = 0.05
_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """Raises `AssertionError` that says what did not come about in time."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}") from None


@dataclass
class Traffic:
    """As many `shoppers` at a time as are named, each with an account of its own; who is done is followed by the next.

    `asked`: each saga that was begun, and `told`: how it ended, as the shopper heard. `resends`: shoppers and their
    warehouse send again what has not come for a while, as is needed where an operator throws messages away. What a
    shopper does depends on the seed and its number alone.
    """

    stage: Stage
    seed: int
    shoppers: int = 8
    resends: bool = False
    asked: dict[UUID, Asked] = field(default_factory=dict)
    told: dict[UUID, Ending] = field(default_factory=dict)
    open: dict[UUID, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = f"t{uuid4().hex[:8]}"
        self.charity = f"{self.name}-charity"
        self.client = Client(self.stage.env["HOLDFAST_AMQP_URL"], name="traffic")
        self.operator = Client(self.stage.env["HOLDFAST_OPERATOR_AMQP_URL"], name="traffic operator")
        self.heard = Heard(self.operator.connection, f"{self.name}-")
        self._numbers = count(1)
        self.closing = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def sagas(self) -> int:
        """How many sagas were begun."""
        return len(self.told) + len(self.open)

    def mentioned_in(self, body: bytes) -> bool:
        """What tells this traffic's messages from those of strangers: its name, or the id of one of its sagas."""
        ids = (UUID(found.decode()) for found in _UUID.findall(body))
        return self.name.encode() in body or any(each in self.told or each in self.open for each in ids)

    async def __aenter__(self) -> Self:
        """Listen, fill the shop and let the first shoppers in."""
        async with within(HEAR_S_MAX, "the broker keeps what is announced"):
            await self.until_confirmed(self.heard.begin)
        self.shop = await shop.fill(self.operator, self.name)
        await self.until_confirmed(lambda: self.client.open_account(self.charity))
        self._tasks = [asyncio.create_task(self._queue()) for _ in range(self.shoppers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.heard.forget()
        await self.client.connection.close()
        await self.operator.connection.close()

    async def reaches(self, sagas: int, within_s: float = SAGA_S_MAX) -> None:
        """Return once this many more sagas have ended, so that a fault finds the system at work.

        The time is what a system that is whole may take for any saga. A caller whose fault is not over yet, or who
        waits for more sagas than shoppers finish in that time, gives a larger one.
        """
        goal = len(self.told) + sagas
        try:
            async with asyncio.timeout(within_s):
                while len(self.told) < goal:
                    for task in self._tasks:
                        if task.done():
                            task.result()
                    await asyncio.sleep(PAUSE_S)
        except TimeoutError:
            ended = sagas - goal + len(self.told)
            raise AssertionError(f"not within {within_s:g} s: {sagas} more sagas end; {ended} did") from None

    async def ended(self) -> float:
        """Let nobody else in; returns after how many seconds the last shopper was done, or should have been."""
        began = asyncio.get_running_loop().time()
        self.closing = True
        await asyncio.wait(self._tasks, timeout=SAGA_S_MAX)
        return asyncio.get_running_loop().time() - began

    async def settled(self, fault: str, strangers: bool = False) -> None:
        """The fault is over, and nobody touches the system: every saga ends in time, whoever comes then is served, and
        nothing is found wrong.

        Prints what was done, and fails with all that is found. Where `strangers` sent messages too, only dead letters
        of this traffic count.
        """
        among = self.name if strangers else ""
        settled_s = await self.ended()
        # Before anything else takes time, in which what is late might still end.
        found = [f"{what} {saga} is still open" for saga, what in self.open.items()]
        found += [f"shoppers wait after {settled_s:.0f} s" for task in self._tasks if not task.done()]
        unserved = await latecomer.unserved(self, SAGA_S_MAX)
        found += [repr(task.exception()) for task in self._tasks if task.done() and task.exception()]
        found += unserved + self.wrong + await findings(self.stage, self.client, self.operator, self.told, among)
        found += [*await self._contradicted(), *await shop.miscounted(self.stage, self.shop)]
        searched = len(histories(self.asked, self.told))
        print(
            f"{fault}: {self.sagas} sagas, settled within {settled_s:.1f} s, {searched} accounts searched for a serial"
            f" order, {len(found)} found",
            flush=True,
        )
        assert not found, f"after {fault} (seed {self.seed}):\n" + "\n".join(found[:40])

    async def _contradicted(self) -> list[str]:
        """What the announcements leave out or say otherwise, once the services have nothing left to announce, and what
        was told that cannot be.
        """
        async with within(HEAR_S_MAX, "all that was announced is heard"):
            await self.until_confirmed(self.heard.catch_up)
        books = await read(self.stage.env["HOLDFAST_AUDIT_DATABASE_URL"])
        given = await gifts.kept(self.stage)
        balances = {each.key: each.state for each in books.accounts.entities}
        return [
            *unheard(self.heard.endings, self.told, books, given, f"{self.name}-"),
            *gifts.astray(given, balances, self.charity),
            *contradictions(self.asked, self.told, books),
        ]

    async def begin(self, saga: UUID, asked: Asked, send: Callable[[], Awaitable[Sent | None]]) -> None:
        """Begin a saga. What the client filled in as its `after` is noted."""
        self.asked[saga], self.open[saga] = asked, asked.what
        sent = await self.until_confirmed(send)
        if sent:
            self.asked[saga] = replace(asked, after=frozenset(sent.command.after))  # type: ignore[attr-defined]

    async def learn(self, saga: UUID, timeout_s: float) -> Ending:
        """How the saga ended. Raises `StillOpen` or `Unreachable`."""
        asked, view = self.asked[saga], await self._wait(saga, timeout_s)
        self.told[saga] = ending(asked, view, asyncio.get_running_loop().time())
        del self.open[saga]
        return self.told[saga]

    async def _wait(self, saga: UUID, timeout_s: float) -> View:
        asked = self.asked[saga]
        match asked.what:
            case "credit":
                return await self.client.wait_for_operation(asked.account, saga, timeout_s)
            case "order":
                return await self.client.wait_for_order(saga, timeout_s)
            case "gift":
                return await gifts.wait(self.client, saga, timeout_s)
            case _:
                return await self.client.wait_for_redemption(saga, timeout_s)

    async def fence(self, within_s: float = SAGA_S_MAX) -> None:
        """Return once each service has handled all that was published to it before this."""
        async with within(within_s, "each service handles what was published to it"):
            name = f"{self.name}-fence"
            await self.operator.outcome(await self.operator.put_item(name, 1))
            await self.operator.outcome(await self.operator.put_promo(name, Multiply(factor=2)))
            await self.client.outcome(await self.client.open_account(name))
            await self.client.outcome(await gifts.give(self.client, name, self.charity, 1, uuid4(), 1.0))

    async def until_confirmed(self, send: Callable[[], Awaitable[Done]]) -> Done:
        """Send until the broker confirms; commands carry their own ids, so that sending again does nothing again."""
        while True:
            try:
                return await send()
            except (Unreachable, Unconfirmed):
                await asyncio.sleep(PAUSE_S)

    async def publish(self, fact: Fact, times: int = 1) -> None:
        """Publish a command as anybody may who has no client of ours: the same message so many times."""
        envelope = Envelope(
            specversion="1.0", id=uuid4(), source="traffic", type=fact.type, data=fact.model_dump(mode="json")
        )
        content_type, body = encode([envelope])

        async def once() -> None:
            message = aio_pika.Message(
                body,
                content_type=content_type,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                message_id=str(envelope.id),
            )
            await self.client.connection.publish("commands", fact.type, message, SEND_S_MAX)

        for _ in range(times):
            await self.until_confirmed(once)

    async def _queue(self) -> None:
        """One shopper after the other."""
        while not self.closing:
            await Shopper(self, next(self._numbers)).shop()
