"""What it costs the library alone to reserve and to capture, with few and with many reservations in flight.

python -m benchmarks.pending
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from holdfast.pending import Entity, Operation
from user_service.kinds import Reserve

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW.replace(year=2027)
ROUNDS, REPEATS = 5, 2_000


def main() -> None:
    """Print the CPU microseconds of one reservation and one capture, the best of some rounds, and the ratio."""
    for which in ("newest", "oldest"):
        one, many = (_cost(in_flight, which == "oldest") for in_flight in (1, 1_000))
        print(
            f"figure: reserve and capture the {which}: {one:.1f} µs CPU with 1 in flight, {many:.1f} µs with 1,000, "
            f"ratio {many / one:.2f}"
        )


def _cost(in_flight: int, oldest: bool) -> float:
    entity: Entity[int] = Entity(10**12)
    arrived = settled = 0
    for _ in range(in_flight):
        entity.arrive(_reservation(arrived), NOW)
        arrived += 1
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(REPEATS):
            entity.arrive(_reservation(arrived), NOW)
            entity.settle(settled if oldest else arrived, NOW)
            arrived, settled = arrived + 1, settled + 1
            entity.past.clear()
        best = min(best, time.process_time() - began)
    return best / REPEATS * 1e6


def _reservation(number: int) -> Operation[int]:
    return Operation(number, Reserve(3), answer_by=LATER, settle_by=LATER)


if __name__ == "__main__":
    main()
