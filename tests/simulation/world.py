"""The simulated world: broker, clocks, clients, a warehouse and a guest around three services, and all that goes wrong.

Everything that happens is drawn from the plan's seed, so that the same plan gives the same run.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.topology import SHOP
from holdfast.delivery.checkpoints import STEPS, Checkpoint
from holdfast.delivery.names import inbox_queue
from holdfast.delivery.service import CLOCK_S
from holdfast.delivery.words import Fact, Service
from tests.simulation import clients, guest
from tests.simulation.history import History
from tests.simulation.node import Delivery, Died, Event, Node, Parcel, Reached
from tests.simulation.plan import Fault, Plan

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LATENCY_S = (0.001, 0.01)
PAUSE_S = (0.001, 0.05)
"""How long a service takes to come to its next batch; what has arrived by then is handled together."""
SKEW_S_MAX, DRIFT_MAX = 300.0, 0.01

RELAYED_FIRST = 0.2
"""How often the relay is quicker than the acknowledgement."""
CRASH, DOUBLE, DELAY, RESEND, CUT = 0.07, 0.15, 0.06, 0.2, 0.08
COMMITTED: frozenset[Checkpoint] = frozenset(("after commit", "before ack", "after ack"))

SERVICES: tuple[Service, ...] = ("user_service", "order_service", "promo_service")

ROUTES: dict[tuple[str, str], list[Service]] = {(guest.EXCHANGE, name): ["user_service"] for name in guest.FACTS}
for _binding in SHOP.bindings:
    for _service in SERVICES:
        if _binding.queue == inbox_queue(_service):
            ROUTES.setdefault((_binding.exchange, _binding.routing_key), []).append(_service)

Committed = Callable[[Service, Iterable[Fact], datetime], None]


@dataclass
class Process:
    """One service's process, as the world sees it: its queue, and what it is about to do."""

    node: Node
    skew_s: float
    rate: float
    queue: list[Delivery] = field(default_factory=list)
    past: list[Parcel] = field(default_factory=list)
    down: bool = False
    working: bool = False
    relaying: bool = False
    tick_at: float = float("inf")
    last_arrival: float = 0.0


class World:
    """`committed` is told of every commit: the service, the facts it handled, and its clock."""

    def __init__(
        self,
        plan: Plan,
        nodes: Mapping[Service, Node],
        committed: Committed | None = None,
        trace: list[str] | None = None,
    ) -> None:
        self.plan, self.history, self.trace = plan, History(), trace
        self.time = 0.0
        self._rng = random.Random(f"{plan.seed} world")
        self._calm_at = plan.faulty_until
        self._committed = committed
        self._heap: list[tuple[float, int, Callable[..., Any], tuple[Any, ...]]] = []
        self._steps = 0
        self._dying: Checkpoint | None = None
        self._processes = {name: self._process(node) for name, node in nodes.items()}
        if len({process.skew_s for process in self._processes.values()}) > 1:
            self.history.happened("skew")
        self._clients = clients.Clients(plan, self)

    async def run(self) -> History:
        """Run to the end: until nothing happens any more, or the horizon."""
        await self._set_up()
        self._clients.start()
        for process in self._processes.values():
            if self._has("replay"):
                self.later(self._draw_time(), self._replay, process)
            if self._has("purge"):
                self.later(self._draw_time(), self._purge, process)
        while self._heap:
            at, _, action, arguments = heapq.heappop(self._heap)
            if at > self.plan.horizon_s * 2:
                break
            self.time = at
            done = action(*arguments)
            if done is not None:
                await done
        return self.history

    @property
    def calm(self) -> bool:
        """Whether faults have stopped for good."""
        return self.time >= self._calm_at

    @property
    def calm_at(self) -> float:
        """When they stop."""
        return self._calm_at

    def later(self, after_s: float, action: Callable[..., Awaitable[None] | None], *arguments: Any) -> None:
        """Do this after some seconds."""
        self._steps += 1
        heapq.heappush(self._heap, (self.time + after_s, self._steps, action, arguments))

    def chance(self, fault: Fault, probability: float) -> bool:
        """Whether this fault happens now."""
        if fault not in self.plan.faults or self.time >= self._calm_at or self._rng.random() >= probability:
            return False
        self.history.happened(fault)
        return True

    def send(self, fact: Fact, message_id: UUID) -> None:
        """A command, or an event of the guest, which the broker has confirmed."""
        self.note("guest says" if fact.exchange == guest.EXCHANGE else "client sends", fact)
        self._route(Parcel(fact.exchange, fact.routing_key, (Event(message_id, fact),)))

    def note(self, what: str, *facts: Fact) -> None:
        """Write a line of the trace."""
        if self.trace is not None:
            said = ", ".join(self._clients.label(fact) for fact in facts)
            self.trace.append(f"{self.time:12.3f} {what} {said}".rstrip())

    def draw(self, low: float, high: float) -> float:
        """A number from the run's own source."""
        return self._rng.uniform(low, high)

    def draw_id(self) -> UUID:
        """A fresh message id."""
        return UUID(int=self._rng.getrandbits(128), version=4)

    def now(self, process: Process) -> datetime:
        """The time of the service's own clock."""
        return EPOCH + timedelta(seconds=self.time * process.rate + process.skew_s)

    def times(self) -> dict[Service, datetime]:
        """The time of each service's clock."""
        return {name: self.now(process) for name, process in self._processes.items()}

    def _process(self, node: Node) -> Process:
        if "skew" in self.plan.faults:
            skew_s = self._rng.uniform(-SKEW_S_MAX, SKEW_S_MAX)
            return Process(node, skew_s, 1 + self._rng.uniform(-DRIFT_MAX, DRIFT_MAX))
        return Process(node, 0.0, 1.0)

    def _has(self, fault: Fault) -> bool:
        return fault in self.plan.faults

    def _draw_time(self) -> float:
        return self._rng.uniform(0.0, min(self._calm_at, 100.0))

    async def _set_up(self) -> None:
        """The catalog, the codes and most accounts are there before anything goes wrong."""
        facts: dict[Service, list[Fact]] = self._clients.set_up()
        for service, some in facts.items():
            process = self._processes[service]
            batch = [Delivery(Parcel(each.exchange, each.type, (Event(self.draw_id(), each),))) for each in some]
            if batch:
                await process.node.handle(batch, self.now(process), _nothing)
            if self._has("replay"):
                process.past += [each.parcel for each in batch]
            while await process.node.relay(self._heard_by_nobody, self.now(process), _nothing):
                pass

    def _heard_by_nobody(self, parcel: Parcel) -> bool:
        self.history.out.update(event.id for event in parcel.events)
        return True

    # --- the broker

    def _route(self, parcel: Parcel) -> None:
        for service in ROUTES.get((parcel.exchange, parcel.routing_key), ()):
            self._deliver(service, parcel)
            if self.chance("double", DOUBLE):
                self._deliver(service, parcel)

    def _deliver(self, service: Service, parcel: Parcel) -> None:
        process = self._processes[service]
        at = self.time + self._rng.uniform(*LATENCY_S)
        if not self.calm:
            if self.chance("delay", DELAY):
                at += self._rng.choice((1.0, 5.0, 30.0, 3600.0)) * self._rng.random()
            elif self._has("reorder"):
                at += self._rng.random() * self._rng.choice((0.05, 0.5, 3.0))
                if at < process.last_arrival:
                    self.history.happened("reorder")
                process.last_arrival = max(at, process.last_arrival)
            else:
                at = process.last_arrival = max(at, process.last_arrival)
            at = min(at, self._calm_at + self._rng.uniform(*LATENCY_S))
        self.later(at - self.time, self._arrive, process, Delivery(parcel))

    def _arrive(self, process: Process, delivery: Delivery) -> None:
        self.history.deliveries += 1
        process.queue.append(delivery)
        if self._has("replay"):
            process.past.append(delivery.parcel)
        self._begin_work(process)

    async def _replay(self, process: Process) -> None:
        """The inbox has forgotten all of it, and some of it comes again."""
        if self.calm:
            return
        if parcels := process.past:
            self.history.happened("replay")
            await process.node.forget()
            for parcel in self._rng.sample(parcels, min(len(parcels), self._rng.randint(1, 3))):
                self._deliver(process.node.name, parcel)
        self.later(self._rng.uniform(10.0, 3600.0), self._replay, process)

    def _purge(self, process: Process) -> None:
        if self.calm or self.time > 200.0:
            return
        if process.queue:
            self.history.happened("purge")
            self.note(f"{process.node.name} queue purged")
            process.queue.clear()
        self.later(self._rng.uniform(1.0, 30.0), self._purge, process)

    # --- the services

    def _begin_work(self, process: Process) -> None:
        if process.queue and not process.down and not process.working:
            process.working = True
            self.later(self._rng.uniform(*PAUSE_S), self._work, process)

    def _begin_relay(self, process: Process, after_s: float) -> None:
        if not process.down and not process.relaying:
            process.relaying = True
            self.later(after_s, self._relay, process)

    async def _work(self, process: Process) -> None:
        process.working = False
        if process.down or not process.queue:
            return
        count = len(process.queue) if self._rng.random() < 0.7 else 1
        batch, process.queue = process.queue[:count], process.queue[count:]
        facts = [event.fact for delivery in batch for event in delivery.parcel.events]
        if self.trace is not None:
            self.note(f"{process.node.name} handles", *facts)
        now, reached = self.now(process), self._reached(STEPS["consumer"])
        died_at: Checkpoint | None = None
        try:
            await process.node.handle(batch, now, reached)
            if self._rng.random() < RELAYED_FIRST:
                await process.node.relay(self._publish, now, reached)
            reached("before ack")
            reached("after ack")
        except Died as death:
            died_at = death.args[0]
            if died_at != "after ack":
                process.queue = batch + process.queue
        if died_at is None or died_at in COMMITTED:
            self._note_commit(process, facts, now)
        await self._go_on(process, died_at)

    async def _relay(self, process: Process) -> None:
        process.relaying = False
        if process.down:
            return
        died_at: Checkpoint | None = None
        left = False
        try:
            left = await process.node.relay(self._publish, self.now(process), self._reached(STEPS["relay"]))
        except Died as death:
            died_at = death.args[0]
        if died_at:
            await self._go_on(process, died_at)
        elif left:
            self._begin_relay(process, self._rng.uniform(0.1, 1.0))

    async def _tick(self, process: Process, at: float) -> None:
        if process.down or process.tick_at != at:
            return
        process.tick_at = float("inf")
        self.note(f"{process.node.name} looks what is due")
        now, died_at = self.now(process), None
        try:
            await process.node.handle_due(now, self._reached(STEPS["clock"]))
        except Died as death:
            died_at = death.args[0]
        if died_at is None or died_at in COMMITTED:
            self._note_commit(process, (), now)
        await self._go_on(process, died_at)

    async def _go_on(self, process: Process, died_at: Checkpoint | None) -> None:
        """What follows a step: more of it, or a new process after a while."""
        if died_at:
            self.note(f"{process.node.name} dies {died_at}")
            process.down = True
            process.tick_at = float("inf")
            process.queue = [Delivery(each.parcel, redelivered=True) for each in process.queue]
            rest = self._rng.expovariate(1.0) if self._rng.random() < 0.9 else self._rng.uniform(5.0, 200.0)
            self.later(min(rest, max(self._calm_at - self.time, 0.01)), self._restart, process)
            return
        self._begin_work(process)
        self._begin_relay(process, self._rng.uniform(*LATENCY_S))
        await self._plan_tick(process)

    async def _restart(self, process: Process) -> None:
        self.note(f"{process.node.name} starts")
        process.down = False
        await process.node.restart()
        await self._go_on(process, None)

    async def _plan_tick(self, process: Process) -> None:
        """Look for due work within the clock's pace after it falls due."""
        due = await process.node.next_due()
        if due is None:
            return
        due_at = ((due - EPOCH).total_seconds() - process.skew_s) / process.rate
        at = max(due_at, self.time) + self._rng.uniform(0.001, CLOCK_S)
        if at < process.tick_at:
            process.tick_at = at
            self.later(at - self.time, self._tick, process, at)

    def _publish(self, parcel: Parcel) -> bool:
        """The broker takes the message and confirms it; a cut connection may lose either."""
        cut = self.chance("cut", CUT)
        if not cut or self._rng.random() < 0.5:
            self._route(parcel)
            self.note("announced", *(event.fact for event in parcel.events))
            for event in parcel.events:
                heard_at = self.time + self._rng.uniform(*LATENCY_S)
                self.history.announced(event.id, event.fact, heard_at)
                self._clients.hear(event.fact, heard_at)
        if self._dying == "after publish":
            self.history.happened("crash")
            raise Died("after publish")
        return not cut

    def _reached(self, points: tuple[Checkpoint, ...]) -> Reached:
        """Draws whether, and where, the process dies in this step."""
        may_die = self._has("crash") and not self.calm and self._rng.random() < CRASH
        dying = self._dying = self._rng.choice(points) if may_die else None

        def reached(checkpoint: Checkpoint) -> None:
            if checkpoint == dying:
                self.history.happened("crash")
                raise Died(checkpoint)

        return reached if dying else _nothing

    def _note_commit(self, process: Process, facts: Iterable[Fact], now: datetime) -> None:
        if process.node.name == "user_service":
            for fact in facts:
                self.history.took(fact, now)
        if self._committed:
            self._committed(process.node.name, facts, now)


def _nothing(_: Checkpoint) -> None:
    pass
