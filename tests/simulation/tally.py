"""What some seeds came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.plan import Plan
from tests.simulation.pure import Run
from tests.simulation.watch import Violation


@dataclass
class Tally:
    """`searched`: accounts whose answers were put in a serial order. `cpu_s`: what the runs took of one core. `failed`:
    each with the first that is wrong.
    """

    runs: int = 0
    sagas: int = 0
    deliveries: int = 0
    searched: int = 0
    cpu_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[Plan, Violation]] = field(default_factory=list)

    def add(self, planned: Plan, done: Run) -> None:
        """Count one run."""
        self.runs += 1
        self.sagas += len(done.history.sent)
        self.deliveries += done.history.deliveries
        self.searched += done.history.searched
        self.faults.update(done.history.faults)
        if done.violations:
            self.failed.append((planned, done.violations[0]))

    def merge(self, other: Tally) -> None:
        """Count what was counted elsewhere."""
        self.runs += other.runs
        self.sagas += other.sagas
        self.deliveries += other.deliveries
        self.searched += other.searched
        self.cpu_s += other.cpu_s
        self.faults.update(other.faults)
        self.failed += other.failed
