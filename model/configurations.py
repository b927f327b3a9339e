"""What is checked: sizes at which every state is visited, and broken rules that must each be caught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def _bits(*sagas: int) -> int:
    return sum(1 << saga for saga in sagas)


NEVER_COMES = 5


def _names(after: Mapping[int, Sequence[int]]) -> int:
    """The switch `NAMES`, from those that each saga names."""
    return sum(_bits(*named) << 6 * saga for saga, named in after.items())


def _fair(name: str, switches: dict[str, int], slow: bool = False) -> Configuration:
    return Configuration(name, {**switches, "FAIR": 1}, fair=True, slow=slow)


GOODS = {"EXTERNAL": 0, "COINS": 7}
"""Every order wants the one piece, and there are coins for two of them at a time."""

CLAIMS = {"EXTERNAL": 0, "CODES": 1}
"""One piece and one use, and coins for one order at a time until a doubling comes."""

TWO_ACCOUNTS = {"OTHER": _bits(1, 3)}
"""Of two orders and two redemptions, the second of each."""

CHAIN = {"NAMES": _names({1: [2], 3: [0]})}
"""Of two orders and two redemptions: the second order names a redemption, the other redemption the first order."""

ROUND = {"NAMES": _names({1: [2], 3: [1]})}
"""The second order names a redemption, and another redemption of the same code names that order."""

EACH_OTHER = {"NAMES": _names({1: [2], 2: [1]}), "CIRCLES": 1}
"""Two redemptions, beside one order, that name each other: a circle, which ends."""

TWO_CODES = {"CODES": 1, "IN_TURN": 1, "COINS": 14, "OTHER": _bits(0, 1, 2), "SECOND": _bits(0, 1, 4)}
"""Five redemptions of two accounts and two codes, of one use each; no effect fits, so that every use is free again."""

CROSSED = {**TWO_CODES, "NAMES": _names({2: [1], 4: [3]})}
"""On each account one redemption names another of the other code."""

ORDERS_NAMED = {"CODES": 1, "OTHER": _bits(1, 2), "SECOND": _bits(1, 4), "NAMES": _names({3: [0], 4: [0]})}
"""An order that two redemptions name, of four of two accounts and two codes, of one use each."""

COINS = (
    Configuration("a crash between any two steps of delivery", _sized(1, 0, STEPS=1, CRASHES=1)),
    Configuration("two orders, a doubling, a bonus", _sized(2, 2)),
    Configuration("two orders, a doubling, a bonus, reduced", _sized(2, 2, REDUCED=1)),
    Configuration("two orders, two doublings, a duplicate", _sized(2, 2, TWO_DOUBLINGS=1, DUPLICATES=1, REDUCED=1)),
    Configuration("no doubling is withdrawn", _sized(2, 2, TWO_DOUBLINGS=1, IRREVOCABLE=_bits(2, 3), REDUCED=1)),
    Configuration("every doubling may be withdrawn", _sized(2, 2, TWO_DOUBLINGS=1, IRREVOCABLE=0, REDUCED=1)),
    Configuration("no inbox remembers, any number of duplicates", _sized(1, 2, FORGETFUL=1, DUPLICATES=255)),
    Configuration(
        "two orders, no inbox remembers, any number of duplicates", _sized(2, 1, FORGETFUL=1, DUPLICATES=255)
    ),
    Configuration("three orders, a doubling", _sized(3, 1, REDUCED=1)),
    _fair("every saga ends, any number of duplicates", _sized(1, 1, DUPLICATES=255)),
    _fair("every saga ends, two orders, a doubling", _sized(2, 1, REDUCED=1)),
)
"""Orders fulfilled by a warehouse, and promos without claims."""

AFTER = (
    Configuration("an order names an order, two redemptions name orders", _sized(2, 2, NAMES=_names({2: [1], 3: [0]}))),
    Configuration("a chain of names", _sized(2, 2, NAMES=_names({0: [3], 1: [0], 2: [0, 1]}), REDUCED=1)),
    Configuration("named, and never comes", _sized(1, 2, NAMES=_names({1: [NEVER_COMES], 2: [0]}))),
    Configuration("two that name each other", _sized(1, 2, **EACH_OTHER)),
    Configuration(
        "names, no inbox remembers, any number of duplicates",
        _sized(1, 2, FORGETFUL=1, DUPLICATES=255, NAMES=_names({2: [0]})),
    ),
    _fair("every saga ends, two name each other", _sized(1, 2, **EACH_OTHER, REDUCED=1)),
)

ITEMS = (
    Configuration("one piece for two orders, a crash between any two steps", _sized(1, 0, **GOODS, STEPS=1, CRASHES=1)),
    Configuration("one piece for three orders", _sized(3, 0, EXTERNAL=0, COINS=9)),
    Configuration("one piece for three orders, a doubling", _sized(3, 1, EXTERNAL=0, REDUCED=1)),
    Configuration("two pieces for three orders", _sized(3, 0, EXTERNAL=0, COINS=9, STOCK=2)),
    Configuration(
        "one piece for two orders, no inbox remembers, any number of duplicates",
        _sized(2, 0, **GOODS, FORGETFUL=1, DUPLICATES=255),
    ),
    _fair("every saga ends, one piece for two orders", _sized(2, 0, **GOODS)),
)

CODES = (
    Configuration("one use for two accounts", _sized(1, 2, CODES=1, OTHER=_bits(2))),
    Configuration("one use for three redemptions of two accounts", _sized(1, 3, CODES=1, OTHER=_bits(3))),
    Configuration("two uses, one an account", _sized(1, 3, CODES=2, OTHER=_bits(3), TWO_DOUBLINGS=1)),
    Configuration(
        "one use, no inbox remembers, any number of duplicates", _sized(1, 2, CODES=1, FORGETFUL=1, DUPLICATES=255)
    ),
    _fair("every saga ends, one use for two redemptions", _sized(1, 2, CODES=1, REDUCED=1)),
    _fair(
        "every saga ends, a redemption overtakes one it names", _sized(1, 2, CODES=1, NAMES=_names({2: [1]}), CIRCLES=1)
    ),
)

ALL = (
    Configuration("coins, goods and codes", _sized(2, 2, **CLAIMS)),
    Configuration("coins, goods and codes, two accounts", _sized(2, 2, **CLAIMS, **TWO_ACCOUNTS)),
    Configuration("coins, goods and codes, a duplicate", _sized(2, 2, **CLAIMS, FORGETFUL=1, DUPLICATES=1, REDUCED=1)),
    Configuration("coins, goods and codes, names", _sized(2, 2, **CLAIMS, **CHAIN, REDUCED=1)),
    Configuration("coins, goods and codes, names in turn", _sized(2, 2, **CLAIMS, **ROUND, IN_TURN=1, REDUCED=1)),
    Configuration(
        "coins, goods and codes, a redemption overtakes one it names",
        _sized(2, 2, **CLAIMS, **ROUND, CIRCLES=1, REDUCED=1),
    ),
    Configuration("two codes for two accounts, in turn", _sized(0, 5, **TWO_CODES)),
    Configuration("two codes for two accounts, redemptions name redemptions", _sized(0, 5, **CROSSED, CIRCLES=1)),
    Configuration("two codes for two accounts, redemptions name an order", _sized(1, 4, **ORDERS_NAMED, REDUCED=1)),
    _fair("every saga ends, coins, goods and codes", _sized(2, 2, **CLAIMS, REDUCED=1), slow=True),
)

NO_DEADLINES = (
    Configuration("no deadlines: one piece for three orders", _sized(3, 1, EXTERNAL=0, NO_DEADLINES=1)),
    Configuration(
        "no deadlines: coins, goods and codes, three orders, two redemptions",
        _sized(3, 2, CODES=1, REDUCED=1, NO_DEADLINES=1),
    ),
    Configuration(
        "no deadlines: coins, goods and codes, two orders, three redemptions",
        _sized(2, 3, **CLAIMS, TWO_DOUBLINGS=1, NO_DEADLINES=1),
    ),
    Configuration(
        "no deadlines: coins, goods and codes, two accounts, six sagas",
        _sized(3, 3, CODES=1, COINS=7, OTHER=_bits(2, 5), REDUCED=1, NO_DEADLINES=1),
    ),
    Configuration("no deadlines: coins, goods and codes, names", _sized(2, 2, **CLAIMS, **CHAIN, NO_DEADLINES=1)),
    Configuration(
        "no deadlines: coins, goods and codes, names in turn",
        _sized(2, 2, **CLAIMS, **ROUND, IN_TURN=1, NO_DEADLINES=1),
    ),
    Configuration(
        "no deadlines: two codes for two accounts, redemptions name an order",
        _sized(1, 4, **ORDERS_NAMED, NO_DEADLINES=1),
    ),
)
"""Only settlement ends a wait: a circle of waits would be a saga that never ends."""

SLOW = (
    Configuration(
        "three orders, no inbox remembers, a duplicate",
        _sized(3, 1, FORGETFUL=1, DUPLICATES=1, REDUCED=1),
        slow=True,
    ),
    _fair("every saga ends, two orders, two promos", _sized(2, 2, REDUCED=1), slow=True),
    _fair("every saga ends, one piece for two orders, duplicates", _sized(2, 0, **GOODS, DUPLICATES=255), slow=True),
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
    Configuration(
        "coins, goods and codes, three orders, two redemptions", _sized(3, 2, **CLAIMS, REDUCED=1), slow=True
    ),
    Configuration(
        "coins, goods and codes, unreduced, a duplicate", _sized(2, 2, **CLAIMS, FORGETFUL=1, DUPLICATES=1), slow=True
    ),
)

CONFIGURATIONS = (*COINS, *AFTER, *ITEMS, *CODES, *ALL, *NO_DEADLINES, *SLOW)

NEVER_ENDS = "acceptance cycle"
NOT_ENDED = "saga[at]>=5"
A_CIRCLE = "waits_for"
NOT_THERE = "(possible&"
WAS_ACCEPTED = "!=3)"


def _broken(number: int, name: str, says: str, **switches: int) -> BrokenRule:
    fair = "FAIR" in switches
    return BrokenRule(name, Configuration(name, {**switches, "BROKEN": number}, fair=fair), says)


def _other_way(rule: BrokenRule) -> BrokenRule:
    """The rule with the reduction: what it leaves out must hide no broken rule."""
    name = f"{rule.name}, reduced"
    switches = {**rule.configuration.switches, "REDUCED": 1}
    return replace(rule, name=name, configuration=replace(rule.configuration, name=name, switches=switches))


_ONLY_SETTLEMENT = {"NO_DEADLINES": 1, "CIRCLES": 0}
"""Without the explicit search for circles: that every saga ends must find them, too."""

_RULES = (
    _broken(1, "a doubling does not wait", "!(open_ahead)", **_sized(1, 1)),
    _broken(2, "nothing is known again", "==0)", **_sized(1, 1, DUPLICATES=1)),
    _broken(3, "a late capture is accepted", "value[0]==serial[0]", **_sized(1, 0)),
    _broken(4, "a later reservation overtakes", NOT_THERE, **_sized(3, 0)),
    _broken(5, "deadlines are ignored", NEVER_ENDS, **_sized(1, 0, FAIR=1)),
    _broken(6, "an outbox row is deleted before the confirm", NOT_ENDED, **_sized(1, 1)),
    _broken(7, "a cancel leaves no tombstone", "said_cancelled", **_sized(1, 0)),
    _broken(8, "an order completes before the capture", "saga[op]!=5", **_sized(1, 0)),
    _broken(9, "a failed order keeps its goods", "length[entity]==0", **_sized(2, 0, **GOODS)),
    _broken(10, "goods before coins, in one saga", A_CIRCLE, **_sized(2, 0, EXTERNAL=0)),
    _broken(10, "goods before coins, no deadlines", NOT_ENDED, **_sized(2, 0, EXTERNAL=0), **_ONLY_SETTLEMENT),
    _broken(11, "joined too early", "(1<<at)", **_sized(2, 1, NAMES=_names({2: [1]}))),
    _broken(12, "an accepted doubling is withdrawn", WAS_ACCEPTED, **_sized(1, 1)),
    _broken(13, "pieces in flight are sold again", NOT_THERE, **_sized(2, 0, **GOODS)),
    _broken(14, "claimed uses are given again", NOT_THERE, **_sized(1, 2, CODES=1, OTHER=_bits(2))),
    _broken(14, "the account's use is given again", NOT_THERE, **_sized(0, 2, CODES=2)),
    _broken(15, "a use is free while its effect may come", "saga[op]==2", **_sized(1, 1, CODES=1)),
    _broken(
        16,
        "accepted although it may be refused",
        WAS_ACCEPTED,
        **_sized(1, 2, TWO_DOUBLINGS=1, IRREVOCABLE=_bits(1, 2)),
    ),
    _broken(17, "the code's total before the account's use", A_CIRCLE, **_sized(0, 3, CODES=1, COINS=14)),
    _broken(
        17, "the code's total first, no deadlines", NOT_ENDED, **_sized(0, 3, CODES=1, COINS=14), **_ONLY_SETTLEMENT
    ),
    _broken(18, "outside has no deadline", NOT_ENDED, **_sized(0, 2, NAMES=_names({0: [1], 1: [0]}), CIRCLES=1)),
    _broken(0, "a redemption overtakes one it names, at their code", A_CIRCLE, **_sized(2, 2, **CLAIMS, **ROUND)),
    _broken(0, "redemptions of two codes name each other's", A_CIRCLE, **_sized(0, 5, **CROSSED)),
)
"""The last two break no rule: these are the circles that `after` can form, which the deadline of joining ends."""

BROKEN_RULES = (*_RULES, *(_other_way(rule) for rule in _RULES))
