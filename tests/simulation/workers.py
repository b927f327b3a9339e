"""Processes that run seeds of the database tier, each on databases of its own in one cluster."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from multiprocessing.queues import Queue

from local.guard import throwaway_postgres
from local.sources import PROJECT
from provision import secrets
from tests.simulation.on_a_database import compared
from tests.simulation.plan import Plan
from tests.simulation.pure import Run
from tests.simulation.slot import Place, Slot, make, opened
from tests.simulation.tally import Tally

TOGETHER = 25
"""Runs that a process takes at a time."""


class Workers:
    """Started processes."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def tallies(self, plans: Sequence[Plan]) -> Iterator[Tally]:
        """Run all, some at a time."""
        return self._pool.map(_tally, [plans[i : i + TOGETHER] for i in range(0, len(plans), TOGETHER)])

    def run(self, plan: Plan, traced: bool = False) -> Run:
        """One run."""
        return self._pool.submit(_run, plan, traced).result()


@contextmanager
def workers(processes: int) -> Iterator[Workers]:
    """So many processes, with a cluster that is gone afterwards."""
    with throwaway_postgres(secrets.ensure(PROJECT / ".env")) as cluster:
        places = [Place(cluster.admin_url, f"simulated_{number}_") for number in range(processes)]
        asyncio.run(_make(places))
        context = multiprocessing.get_context("spawn")
        queue: Queue[Place] = context.Queue()
        for place in places:
            queue.put(place)
        with ProcessPoolExecutor(processes, context, _open, (queue,)) as pool:
            try:
                yield Workers(pool)
            finally:
                pool.shutdown(cancel_futures=True)


async def _make(places: Sequence[Place]) -> None:
    for place in places:
        await make(place, None if place is places[0] else places[0])


class _Worker:
    """This process, if it is one of them."""

    open_until_it_ends = AsyncExitStack()
    runner: asyncio.Runner
    slot: Slot


def _open(queue: Queue[Place]) -> None:
    _Worker.runner = asyncio.Runner()
    _Worker.slot = _Worker.runner.run(_Worker.open_until_it_ends.enter_async_context(opened(queue.get())))
    collect_seldom()


def collect_seldom() -> None:
    """What this process has now stays; runs leave little that is not let go by itself."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _run(plan: Plan, traced: bool) -> Run:
    return _Worker.runner.run(compared(plan, _Worker.slot, traced))


def _tally(plans: Iterable[Plan]) -> Tally:
    tally = Tally()
    for plan in plans:
        tally.add(plan, _run(plan, traced=False))
    return tally
