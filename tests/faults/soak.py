"""`python -m tests.faults.soak --seconds 1800 --seed 1`: traffic without end, and never ten seconds without a fault.

It starts parts of its own, prints what it does, and ends with what it found. The faults follow from the seed; what they
meet does not, since real processes keep their own time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass
from math import ceil

from client import audit
from local.guard import throwaway_parts
from local.parts import Parts
from local.sources import PROJECT
from provision import secrets
from tests.evidence import record
from tests.faults.detour import Detour
from tests.faults.mischief import Deck, Mischief
from tests.faults.traffic import Traffic

EVERY_S = 9.0
"""From the beginning of one fault to that of the next; a fault that lasts longer is followed at once."""
CALM_S_MAX = 10.0
WRITTEN_S = 4.0
"""After so long the broker has written down a queue that it made. One that it made within some three seconds before a
SIGKILL it may never run again, and then it confirms nothing that goes there."""
SHIFT_S = 120.0
"""After so long all is left to settle and is judged, and new shoppers begin: what is remembered stays bounded. The time
in which it settles does not count."""


@dataclass
class Soaked:
    """What a soak did: sagas that ended, faults by kind, the longest time between two of a shift, and the most sagas
    that were in flight when an audit found nothing.
    """

    sagas: int
    faults: dict[str, int]
    calm_s: float
    audits: int = 0
    in_flight: int = 0


async def soak(parts: Parts, seconds: float, seed: int) -> Soaked:
    """Hurt a stage for so long. Raises `AssertionError` with all that is found wrong."""
    soaked, shifts, deck = Soaked(0, {}, 0.0), ceil(seconds / SHIFT_S), Deck(seed)
    with Detour.opened(parts) as stage:
        for shift in range(shifts):
            await _shift(stage, seconds / shifts, seed * 1000 + shift, deck, soaked)
    assert soaked.in_flight, "no audit met a saga in flight"
    return soaked


async def _shift(stage: Detour, seconds: float, seed: int, deck: Deck, soaked: Soaked) -> None:
    end = time.monotonic() + WRITTEN_S + seconds
    async with Traffic(stage, seed, shoppers=6) as traffic:
        mischief = Mischief(stage, traffic, seed, deck)
        await asyncio.sleep(WRITTEN_S)
        await traffic.reaches(1)
        while time.monotonic() < end:
            began = time.monotonic()
            name = await mischief.one()
            # Until something succeeds again the system is still hurt, and not calm.
            await traffic.reaches(1)
            over = time.monotonic()
            print(
                f"{name} ({over - began:.1f} s): {len(traffic.told)} sagas ended, {len(traffic.open)} open", flush=True
            )
            await _audited(stage, soaked)
            await asyncio.sleep(max(0.0, min(EVERY_S - (time.monotonic() - began), end - time.monotonic())))
            soaked.calm_s = max(soaked.calm_s, time.monotonic() - over)
        # Connections stay as they are: whoever hangs on one has to get out by itself.
        for proxy in (stage.broker, stage.postgres):
            proxy.heal()
        assert mischief.wrong == []
        assert soaked.calm_s < CALM_S_MAX
        await traffic.settled(f"soak, seed {seed}", strangers=True)
        soaked.sagas += traffic.sagas
        for name, times in mischief.done.items():
            soaked.faults[name] = soaked.faults.get(name, 0) + times


async def _audited(stage: Detour, soaked: Soaked) -> None:
    """Audit the system at work; by the databases' own addresses, whatever the proxies do."""
    audited = await audit.audit(stage.site.client_env()["HOLDFAST_AUDIT_DATABASE_URL"])
    assert audited.findings == (), "\n".join(map(str, audited.findings))
    soaked.audits += 1
    soaked.in_flight = max(soaked.in_flight, audited.in_flight)


def report(soaked: Soaked, seconds: float, seed: int) -> None:
    """Print and keep the figure."""
    kinds = ", ".join(f"{times} {name}" for name, times in sorted(soaked.faults.items()))
    value = f"0 anomalies, {soaked.sagas} sagas, {sum(soaked.faults.values())} faults in {seconds:.0f} s ({kinds})"
    audits = f"{soaked.audits} audits meanwhile, with up to {soaked.in_flight} sagas in flight"
    record("soak", f"{value}; at most {soaked.calm_s:.1f} s without one; {audits}", str(seed))


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with throwaway_parts(secrets.ensure(PROJECT / ".env")) as parts:
        try:
            soaked = asyncio.run(soak(parts, given.seconds, given.seed))
        except AssertionError as error:
            print(error, file=sys.stderr)
            return 1
    report(soaked, given.seconds, given.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
