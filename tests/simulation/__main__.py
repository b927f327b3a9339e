"""`python -m tests.simulation`: run seeds, judge them, and print what goes wrong with the command that replays it."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from enum import StrEnum
from functools import partial
from math import inf
from typing import Annotated

import typer
from rich.console import Console

from tests.evidence import record
from tests.simulation.on_a_database import small
from tests.simulation.plan import FAULTS, Fault, Mode, Plan, plan
from tests.simulation.pure import Run, run
from tests.simulation.shown import Shown
from tests.simulation.shrink import shrink
from tests.simulation.tally import Tally
from tests.simulation.watch import Violation
from tests.simulation.workers import collect_seldom, workers

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
out = Console(highlight=False, soft_wrap=True)

FAILURES_MAX = 3
"""After so many, the rest is not run."""

MEMORY_CHUNK = 100
"""Seeds of the memory tier that a process takes at a time."""
DATABASE_CHUNK = 5000
"""Seeds of the database tier whose figure is recorded together."""


class Tier(StrEnum):
    """Where the services keep their state. On a database, what happens is also compared with what does in memory."""

    MEMORY = "memory"
    DATABASE = "database"


@app.command()
def main(
    seeds: Annotated[str, typer.Argument(help="FIRST:LAST (without LAST), or one seed")] = "0:1000",
    mode: Annotated[str, typer.Option(help="safety or liveness; else as each seed has it")] = "",
    faults: Annotated[str, typer.Option(help=f"of {','.join(FAULTS)}, or none; else as each seed has it")] = "",
    only: Annotated[str, typer.Option(help="numbers of the sagas to run; else all")] = "",
    trace: Annotated[bool, typer.Option(help="print what happens")] = False,
    tier: Annotated[Tier, typer.Option(help="where the services keep their state")] = Tier.MEMORY,
    smaller: Annotated[bool, typer.Option("--small", help="in memory, runs as small as on a database")] = False,
    processes: Annotated[int, typer.Option(help="that share the runs", min=1)] = 1,
    within: Annotated[float, typer.Option(help="seconds, for runs on a database: what is not done then is left")] = inf,
) -> None:
    """Simulate the whole system, one run for each seed, and check each against one serial program."""
    first, last = _range(seeds)
    if tier is Tier.DATABASE:
        plans = [_planned(seed, mode, faults, only, smaller=True) for seed in range(first, last)]
        _on_databases(plans, bool(only or mode or faults), processes, trace, within)
        return
    if trace:
        for seed in range(first, last):
            _print_trace(run(_planned(seed, mode, faults, only, smaller), traced=True))
    parts = [range(part, min(part + MEMORY_CHUNK, last)) for part in range(first, last, MEMORY_CHUNK)]
    tally = Tally()
    with (
        ProcessPoolExecutor(processes, initializer=collect_seldom) as pool,
        Shown(f"seeds {first}:{last}", last - first) as shown,
    ):
        for part in pool.map(partial(_in_memory, mode=mode, faults=faults, only=only, smaller=smaller), parts):
            tally.merge(part)
            shown.advance(part.runs)
            if len(tally.failed) >= FAILURES_MAX:
                pool.shutdown(cancel_futures=True)
                break
    _report(tally, f"{first}:{first + tally.runs}", bool(only or mode or faults), smaller)
    if tally.failed:
        sys.exit(1)


def _in_memory(seeds: Iterable[int], mode: str, faults: str, only: str, smaller: bool) -> Tally:
    tally, began = Tally(), time.process_time()
    for seed in seeds:
        planned = _planned(seed, mode, faults, only, smaller)
        tally.add(planned, run(planned))
    tally.cpu_s = time.process_time() - began
    return tally


def _on_databases(plans: list[Plan], quiet: bool, processes: int, trace: bool, within_s: float) -> None:
    """The same on databases. A figure is recorded for each chunk of seeds, so that a long run can be taken up again."""
    end = time.monotonic() + within_s
    with workers(processes) as started, Shown("runs on a database", len(plans)) as shown:
        for chunk in (plans[i : i + DATABASE_CHUNK] for i in range(0, len(plans), DATABASE_CHUNK)):
            tally, began = Tally(), time.monotonic()
            for part in started.tallies(chunk):
                tally.merge(part)
                shown.advance(part.runs)
                if len(tally.failed) >= FAILURES_MAX or time.monotonic() > end:
                    break
            if trace:
                _print_trace(started.run(chunk[0], traced=True))
            for planned, violation in tally.failed[:FAILURES_MAX]:
                _print_failure(planned, violation, quiet, started.run, " --tier database")
            _print_tally(tally)
            out.print(f"{tally.runs / (time.monotonic() - began):,.1f} runs a second in {processes} processes")
            if not quiet:
                figure, seeds = f"{tally.runs}, {len(tally.failed)}", f"{chunk[0].seed}:{chunk[0].seed + tally.runs}"
                record("simulated runs on a database, anomalies", figure, seeds)
            if tally.failed:
                sys.exit(1)
            if tally.runs < len(chunk):
                out.print(f"out of time: {tally.runs} of {len(chunk)} runs were done")
                return


def _planned(seed: int, mode: str, faults: str, only: str, smaller: bool) -> Plan:
    if mode not in ("", "safety", "liveness"):
        raise typer.BadParameter("safety or liveness", param_hint="--mode")
    chosen: list[Fault] | None = None
    if faults:
        unknown = set(faults.split(",")) - {*FAULTS, "none"}
        if unknown:
            raise typer.BadParameter(f"{', '.join(unknown)} is none of {', '.join(FAULTS)}", param_hint="--faults")
        chosen = [each for each in FAULTS if each in faults.split(",")]
    own_mode: Mode | None = "safety" if mode == "safety" else "liveness" if mode else None
    planned = plan(seed, own_mode, chosen)
    return _only(small(planned) if smaller else planned, only)


def _only(planned: Plan, only: str) -> Plan:
    if not only:
        return planned
    numbers = {int(each) for each in only.split(",")}
    return replace(planned, sagas=tuple(saga for saga in planned.sagas if saga.number in numbers))


def _report(tally: Tally, seeds: str, quiet: bool, smaller: bool) -> None:
    for planned, violation in tally.failed[:FAILURES_MAX]:
        _print_failure(planned, violation, quiet, replayed=" --small" if smaller else "")
    _print_tally(tally)
    pace = tally.sagas / tally.cpu_s * 60
    out.print(f"{pace:,.0f} sagas a minute on one core")
    if smaller and not quiet:
        record("simulated runs as small as on a database, anomalies", f"{tally.runs}, {len(tally.failed)}", seeds)
    elif not quiet:
        record("simulated sagas a minute on one core", f"{pace:.1f}", seeds)
        record("simulated sagas, anomalies", f"{tally.sagas}, {len(tally.failed)}", seeds)
        record("histories put in a serial order", f"{tally.searched}", seeds)


def _print_tally(tally: Tally) -> None:
    faults = ", ".join(f"{count} {name}" for name, count in sorted(tally.faults.items()))
    out.print(f"{tally.runs} runs, {tally.sagas} sagas, {tally.deliveries} deliveries; faults: {faults or 'none'}")


def _print_failure(
    planned: Plan, violation: Violation, quiet: bool, run: Callable[[Plan, bool], Run] = run, replayed: str = ""
) -> None:
    out.print(f"seed {planned.seed} ({planned.mode}): {violation}", style="bold red", markup=False)
    shortest = planned if quiet else shrink(planned, lambda each: _fails_alike(run(each, False), violation))
    done = run(shortest, True)
    _print_trace(done)
    found = next(each for each in done.violations if each.check == violation.check)
    out.print(f"shortest found: {found}", markup=False)
    out.print(f"replay: {command(shortest, replayed)}", style="bold")


def _fails_alike(done: Run, violation: Violation) -> bool:
    return any(each.check == violation.check for each in done.violations)


def command(planned: Plan, replayed: str = "") -> str:
    """What replays this run; `replayed`: further options that it was run with."""
    only = ",".join(str(saga.number) for saga in planned.sagas)
    faults = ",".join(sorted(planned.faults)) or "none"
    given = f"--mode {planned.mode} --faults {faults} --only {only} --trace{replayed}"
    return f"make simulate SEEDS={planned.seed} WITH='{given}'"


def _print_trace(done: Run) -> None:
    text = "\n".join(done.trace)
    out.print(text, markup=False)
    out.print(f"trace {hashlib.sha256(text.encode()).hexdigest()[:16]}, {len(done.trace)} lines")


def _range(seeds: str) -> tuple[int, int]:
    try:
        first, _, last = seeds.partition(":")
        return int(first), int(last) if last else int(first) + 1
    except ValueError:
        raise typer.BadParameter(f"{seeds!r}: FIRST:LAST or one seed", param_hint="SEEDS") from None


if __name__ == "__main__":
    app()
