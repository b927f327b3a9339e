"""What is printed of a failure is enough to see it again: the seed, the shortest trace found, and the command."""

from __future__ import annotations

import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from tests import evidence
from tests.simulation import __main__ as simulation
from tests.simulation.broken_delivery import outbox_is_deleted_before_the_confirm
from tests.simulation.broken_entities import doubling_does_not_wait
from tests.simulation.mutants import Break

FAILURE = re.compile(
    r"^seed (?P<seed>\d+) \((?:safety|liveness)\): (?P<check>[a-z -]+): .*?"
    r"^trace (?P<trace>[0-9a-f]{16}, \d+ lines)\n"
    r"shortest found: (?P<found>.*?)\n"
    r"replay: (?P<replay>make simulate .*?)\n",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Failure:
    """One, as it was printed."""

    seed: str
    check: str
    trace: str
    found: str
    replay: str


def simulated(*arguments: str) -> list[Failure]:
    """What the command line says of a run that fails, as it must."""
    result = CliRunner().invoke(simulation.app, arguments)
    assert result.exit_code == 1, result.output
    return [Failure(**each.groupdict()) for each in FAILURE.finditer(result.output)]


def arguments_of(command: str) -> list[str]:
    """What `make simulate` gives to the simulation."""
    make, target, seeds, options = shlex.split(command)
    assert (make, target) == ("make", "simulate")
    return [seeds.removeprefix("SEEDS="), *shlex.split(options.removeprefix("WITH="))]


@pytest.mark.parametrize("rule", [doubling_does_not_wait, outbox_is_deleted_before_the_confirm])
def test_the_command_that_is_printed_fails_in_the_same_way(rule: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    # Another process may not have the broken rule; and what it comes to is no evidence.
    monkeypatch.setattr(simulation, "ProcessPoolExecutor", ThreadPoolExecutor)
    monkeypatch.setattr(simulation, "FAILURES_MAX", 2)
    monkeypatch.delenv(evidence.FILE, raising=False)
    rule(monkeypatch)
    failures = simulated("0:10")
    assert len(failures) == 2
    for failure in failures:
        assert failure.found.startswith(f"{failure.check}: ")
        assert failure.seed == arguments_of(failure.replay)[0]
        assert simulated(*arguments_of(failure.replay)) == [failure]
