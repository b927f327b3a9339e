"""The same seed gives the same trace, byte for byte; a failure is told with the shortest run that shows it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from local.sources import PROJECT
from tests.simulation.__main__ import command
from tests.simulation.broken_entities import doubling_does_not_wait
from tests.simulation.plan import FAULTS, plan
from tests.simulation.pure import run
from tests.simulation.shrink import shrink


@pytest.mark.parametrize("seed", [0, 1, 7, 12])
def test_another_process_prints_the_same_trace(seed: int) -> None:
    def traced(hash_seed: str) -> str:
        arguments = [sys.executable, "-m", "tests.simulation", str(seed), "--trace"]
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        said = subprocess.run(arguments, cwd=PROJECT, env=env, capture_output=True, text=True, check=True).stdout
        trace, _, figures = said.partition("\ntrace ")
        assert re.match(r"[0-9a-f]{16}, \d+ lines", figures)
        return trace

    first = traced("1")
    assert len(first.splitlines()) > 5
    assert traced("2") == first


def test_two_seeds_are_two_runs() -> None:
    assert run(plan(3), traced=True).trace != run(plan(5), traced=True).trace


def test_every_fault_happens_and_can_be_switched_off() -> None:
    seen: set[str] = set()
    for seed in range(40):
        seen |= run(plan(seed, faults=FAULTS)).history.faults.keys()
        assert not run(plan(seed, faults=())).history.faults
    assert seen == {*FAULTS}


def test_every_kind_of_wait_and_refusal_happens() -> None:
    seen: set[str] = set()
    for seed in range(150):
        for told in run(plan(seed)).history.told.values():
            for each in told.values():
                seen |= {each.fact.type, str(getattr(each.fact, "reason", ""))}
    assert seen >= {"operation.waiting", "operation.accepted", "order.waiting", "promo.waiting"}
    assert seen >= {"named_missing", "insufficient_coins", "balance_limit", "pending_limit", "unknown_account"}
    assert seen >= {"out_of_stock", "code_not_accepted", "already_redeemed", "guest_gave_up", "cancelled"}
    assert seen >= {"deadline_passed", "wait_deadline_passed", "reservation_expired", "rejected"}


def test_a_failure_is_shown_by_the_shortest_run_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    doubling_does_not_wait(monkeypatch)
    found = next(each for seed in range(50) if run(each := plan(seed)).violations)
    small = shrink(found, lambda each: bool(run(each).violations))
    assert run(small).violations
    assert len(small.sagas) < len(found.sagas)
    for number in range(len(small.sagas)):
        fewer = small.sagas[:number] + small.sagas[number + 1 :]
        assert not run(replace(small, sagas=fewer)).violations
    assert f"SEEDS={small.seed} " in command(small)
