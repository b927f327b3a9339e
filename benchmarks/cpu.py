"""Processor time of whole process trees, from Linux's /proc (proc(5): utime, stime, and those of reaped children)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def cpu_seconds(roots: Iterable[int]) -> float:
    """Processor seconds used so far by these processes and all below them."""
    parents, used = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        used[pid] = sum(int(ticks) for ticks in fields[11:15])
    family, grown = set(roots), True
    while grown:
        below = {pid for pid, parent in parents.items() if parent in family} - family
        family |= below
        grown = bool(below)
    return sum(used.get(pid, 0) for pid in family) / os.sysconf("SC_CLK_TCK")
