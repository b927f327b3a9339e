"""What is checked: sizes at which every state is visited, and broken rules that must each be caught."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Configuration:
    """`switches`: the model's, as its head explains them. `fair`: whether every saga ends, under weak fairness, is
    checked too. `slow`: minutes and gigabytes, rather than seconds.
    """

    name: str
    switches: dict[str, int] = field(default_factory=dict)
    fair: bool = False
    slow: bool = False


@dataclass(frozen=True)
class BrokenRule:
    """One rule, broken, in the configuration where that shows; `says`: part of the assertion that must fail."""

    name: str
    configuration: Configuration
    says: str


def _sized(orders: int, promos: int, **more: int) -> dict[str, int]:
    return {"ORDERS": orders, "PROMOS": promos, **more}


CONFIGURATIONS = (
    Configuration("a crash between any two steps of delivery", _sized(1, 0, STEPS=1, CRASHES=1)),
    Configuration("two orders, a doubling, a bonus", _sized(2, 2)),
    Configuration("two orders, a doubling, a bonus, reduced", _sized(2, 2, REDUCED=1)),
    Configuration("two orders, two doublings, a duplicate", _sized(2, 2, TWO_DOUBLINGS=1, DUPLICATES=1, REDUCED=1)),
    Configuration("no inbox remembers, any number of duplicates", _sized(1, 2, FORGETFUL=1, DUPLICATES=255)),
    Configuration(
        "two orders, no inbox remembers, any number of duplicates", _sized(2, 1, FORGETFUL=1, DUPLICATES=255)
    ),
    Configuration("three orders, no inbox remembers, a duplicate", _sized(3, 1, FORGETFUL=1, DUPLICATES=1, REDUCED=1)),
    Configuration("every saga ends, any number of duplicates", _sized(1, 1, FAIR=1, DUPLICATES=255), fair=True),
    Configuration("every saga ends, two orders, a doubling", _sized(2, 1, FAIR=1, REDUCED=1), fair=True, slow=True),
    Configuration("three orders, a doubling", _sized(3, 1, REDUCED=1)),
    Configuration("every saga ends, two promos", _sized(1, 2, FAIR=1), fair=True, slow=True),
    Configuration("every saga ends, two orders", _sized(2, 0, FAIR=1), fair=True, slow=True),
    Configuration("every saga ends, two orders, two promos", _sized(2, 2, FAIR=1, REDUCED=1), fair=True, slow=True),
    Configuration(
        "two orders, two promos, no inbox remembers, a duplicate", _sized(2, 2, FORGETFUL=1, DUPLICATES=1), slow=True
    ),
    Configuration(
        "three orders, two promos, no inbox remembers, a duplicate",
        _sized(3, 2, FORGETFUL=1, DUPLICATES=1, REDUCED=1),
        slow=True,
    ),
    Configuration("three orders, a doubling, a bonus", _sized(3, 2, REDUCED=1), slow=True),
    Configuration("three orders, two doublings", _sized(3, 2, TWO_DOUBLINGS=1, REDUCED=1), slow=True),
    Configuration("an order and a promo, a crash between any two steps", _sized(1, 1, STEPS=1, CRASHES=1), slow=True),
    Configuration("three orders, a doubling, a bonus, a duplicate", _sized(3, 2, REDUCED=1, DUPLICATES=1), slow=True),
)

EVERY_SAGA_ENDS = "acceptance cycle"


def _broken(number: int, name: str, says: str, **switches: int) -> BrokenRule:
    fair = "FAIR" in switches
    return BrokenRule(name, Configuration(name, {**switches, "BROKEN": number}, fair=fair), says)


def _other_way(rule: BrokenRule) -> BrokenRule:
    """The rule without the reduction if it was with it, else with it: what it leaves out must hide no broken rule."""
    switches = dict(rule.configuration.switches)
    name = f"{rule.name}, {'unreduced' if 'REDUCED' in switches else 'reduced'}"
    if not switches.pop("REDUCED", 0):
        switches["REDUCED"] = 1
    return replace(rule, name=name, configuration=replace(rule.configuration, name=name, switches=switches))


_RULES = (
    _broken(1, "a doubling does not wait", "!(open_ahead)", **_sized(1, 1)),
    _broken(2, "nothing is known again", "state[op]==0", **_sized(1, 1, DUPLICATES=1)),
    _broken(3, "a late capture is accepted", "balance==serial", **_sized(1, 0)),
    _broken(4, "a later hold overtakes", "low>=0", **_sized(3, 0, REDUCED=1)),
    _broken(5, "deadlines are ignored", EVERY_SAGA_ENDS, **_sized(1, 0, FAIR=1)),
    _broken(6, "an outbox row is deleted before the confirm", "saga[at]>=4", **_sized(1, 1)),
    _broken(7, "a cancel leaves no tombstone", "said_cancelled", **_sized(1, 0)),
    _broken(8, "an order completes before the capture", "saga[op]!=4", **_sized(1, 0)),
    _broken(9, "a failed order keeps its goods", "stock==high", **_sized(2, 0)),
)

BROKEN_RULES = (*_RULES, *(_other_way(rule) for rule in _RULES))
