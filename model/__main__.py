"""`python -m model [--slow]`: check the model in every configuration, and that each broken rule is caught."""

from __future__ import annotations

import argparse
import sys

from local.sources import NoPart
from model.check import NotChecked, check
from model.configurations import BROKEN_RULES, CONFIGURATIONS, BrokenRule, Configuration

SECONDS_MAX, SLOW_SECONDS_MAX = 300.0, 3600.0
STATES_MIN = 1000
"""A search that visits fewer has not begun where it should."""


def main() -> int:
    """Print a line of figures for each configuration and broken rule. Exit code 1 if one is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m model", description=__doc__)
    parser.add_argument("--slow", action="store_true", help="the large configurations too: minutes, gigabytes")
    slow = parser.parse_args().slow
    try:
        right = [holds(each) for each in CONFIGURATIONS if slow or not each.slow]
        right += [is_caught(each) for each in BROKEN_RULES]
    except (NotChecked, NoPart) as error:
        print(f"holdfast: {error}", file=sys.stderr)
        return 1
    print(f"model: {right.count(True)} as they must be, {right.count(False)} not")
    return 0 if all(right) else 1


def holds(configuration: Configuration) -> bool:
    """Whether nothing is wrong in any state; prints the figures."""
    result = check(configuration, SLOW_SECONDS_MAX if configuration.slow else SECONDS_MAX)
    print(
        f"model: {configuration.name}: {result.states:,} states, {result.transitions:,} transitions, "
        f"depth {result.depth}, {result.memory_mb:,.0f} MB, {result.seconds:.1f} s, errors: {int(bool(result.wrong))}"
        + (f" ({result.wrong})" if result.wrong else ""),
        flush=True,
    )
    return result.wrong is None and result.states >= STATES_MIN


def is_caught(rule: BrokenRule) -> bool:
    """Whether the rule, broken, violates what it must; prints what was found."""
    result = check(rule.configuration, SECONDS_MAX)
    caught = result.wrong is not None and rule.says in result.wrong
    found = f"caught after {result.states:,} states by {result.wrong}" if caught else f"NOT CAUGHT ({result.wrong})"
    print(f"model: broken: {rule.name}: {found}", flush=True)
    return caught


if __name__ == "__main__":
    sys.exit(main())
