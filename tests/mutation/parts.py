"""What is mutated, and the tests that are to notice: those of its own package that are quick and need no services."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """Modules of one package, and their tests."""

    package: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]


PARTS = (
    Part("user_service", ("kinds", "answers", "handlers"), ("unit/user_service", "unit/pending/test_claims.py")),
    Part(
        "promo_service",
        ("kinds", "promo", "uses", "redemption", "claims", "handlers"),
        (
            *("unit/promo_service", "unit/pending/test_claims.py"),
            *("domain/test_promo.py", "domain/test_promo_waits.py", "domain/test_promo_histories.py"),
        ),
    ),
    Part(
        "order_service",
        ("kinds", "order", "stock", "handlers"),
        (
            "unit/order_service",
            *("domain/test_order.py", "domain/test_steps_are_whole.py", "domain/test_orders_share_stock.py"),
        ),
    ),
    Part(
        "holdfast.pending",
        ("entity", "operation"),
        (
            *("unit/pending/test_entity.py", "unit/pending/test_walk.py"),
            *("unit/pending/test_claims.py", "unit/pending/test_cost.py"),
            "unit/pending/test_brute_force.py::test_the_module_prints_a_figure_for_each_entity",
        ),
    ),
)

DECIDES_NOTHING = ("*.x_domain__*", "*Handlersǁ__init____*", "*ǁload__*", "*ǁsave__*", "*ǁdue__*", "*touche[ds]__*")
"""Functions that start, load and keep. What they do shows on a database alone, in tests/service."""

TOO_SLOW = "thousand or without_exact_sets or oversold or any_history"
"""Words of the names of tests that would take longer than all others of their part."""

ENDLESS_S = 30
"""Seconds after which a test fails that does not end. The slowest takes a fiftieth of that. Mutmut's own bound on all
tests of a mutant is far beyond, so that no mutant counts as noticed because the machine is busy.
"""

SETTINGS = """[mutmut]
source_paths=
    {package}
only_mutate=
    {modules}
also_copy=
    {others}
pytest_add_cli_args=
    -p
    no:cacheprovider
    --timeout
    {endless_s}
    -k
    not ({too_slow})
pytest_add_cli_args_test_selection=
    {tests}
timeout_constant=30
timeout_multiplier=3
use_git_change_detection=false
"""


def settings(part: Part, copied: tuple[str, ...]) -> str:
    """What mutmut reads in a copy of the project that has these folders."""
    folder = part.package.replace(".", "/")
    lines = {
        "modules": [f"{folder}/{module}.py" for module in part.modules],
        "others": [each for each in copied if each != folder.partition("/")[0]],
        "tests": [f"tests/{test}" for test in part.tests],
    }
    package = folder.partition("/")[0]
    return SETTINGS.format(
        package=package,
        endless_s=ENDLESS_S,
        too_slow=TOO_SLOW,
        **{name: "\n    ".join(values) for name, values in lines.items()},
    )
