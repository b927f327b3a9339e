"""The histories that clients saw, of each account, item and code: some serial order explains all their answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf

from contracts.events import CoinsCharged, CoinsMultiplied, CoinsRefused
from holdfast.delivery.words import Fact
from tests.simulation.history import History
from tests.simulation.linear import Done, serial_order
from tests.simulation.plan import Plan, Promotion, Saga
from tests.simulation.rows import Left

ANSWERS = ("coins.charged", "coins.credited", "coins.multiplied", "coins.reserved", "coins.refused")
MISSES_MAX = 10
"""Codes that are not accepted of one account, from which on no other is: then it is no answer about uses."""


def answer_of(history: History, saga: Saga) -> tuple[Fact, float] | None:
    """The first answer to the saga's operation on its account, and when it was known to have its place: then, or
    when it was accepted.
    """
    told = history.told.get(saga.id, {}).values()
    answer = min((each for each in told if each.fact.type in ANSWERS), key=lambda each: each.at, default=None)
    accepted = min((each.at for each in told if each.fact.type == "operation.accepted"), default=inf)
    return (answer.fact, min(answer.at, accepted)) if answer else None


def findings(plan: Plan, history: History, left: Left, hashes: Mapping[str, str]) -> Iterator[str]:
    """Entities whose answers no serial order explains."""
    states = {name: {each.key: each.state for each in of.entities} for name, of in left.entities.items()}
    histories: list[tuple[str, list[Done], int, int]] = []
    for account, balance in states["user_service"].items():
        sagas = [saga for saga in plan.sagas if saga.account == account]
        histories.append((account, [each for saga in sagas if (each := _coins(history, saga))], 0, balance))
    if not plan.puts:
        stock = states["order_service"]
        for item in plan.goods:
            if item.stock is not None and item.scarce == "wait":
                takes = [each for saga in plan.sagas if saga.of == item.name and (each := _take(history, saga))]
                histories.append((item.name, takes, item.stock, stock.get(item.name, 0)))
    for promotion in plan.promotions:
        histories += _claims(plan, history, promotion, hashes[promotion.code], states["promo_service"])
    for name, done, first, last in histories:
        history.searched += 1
        if serial_order(done, last, first) is None:
            yield f"{name}: no order of {done} leads from {first} to {last}"


def _coins(history: History, saga: Saga) -> Done | None:
    """The saga's operation on its account as its client saw it; None if it had no effect for another reason than its
    coins.
    """
    answer = answer_of(history, saga)
    if answer is None or saga.id not in history.sent:
        return None
    fact, at = answer
    times = (history.sent[saga.id], at)
    match fact:
        case CoinsRefused(kind="reserve", reason="insufficient_coins"):
            size = saga.size if saga.kind == "guest" else history.amount(saga.id)
            return Done(*times, "reserve", size, 0, refused=True)
        case CoinsRefused():
            return None
        case CoinsMultiplied(factor=factor, added=added):
            return Done(*times, "multiply", factor, added)
        case CoinsCharged(percent=percent, amount=amount):
            return Done(*times, "fee", percent, -amount)
        case _:
            amount = fact.amount  # type: ignore[attr-defined]
            if fact.type == "coins.credited":
                return Done(*times, "credit", amount, amount)
            kept = amount if "coins.captured" in history.told[saga.id] else 0
            is_in = saga.kind == "guest" and saga.of == "in"
            return Done(*times, "receive", amount, kept) if is_in else Done(*times, "reserve", amount, -kept)


def _take(history: History, saga: Saga) -> Done | None:
    """The order as an operation on its item."""
    told = history.told.get(saga.id, {})
    if saga.kind != "buy" or saga.id not in history.sent:
        return None
    if completed := told.get("order.completed"):
        return Done(history.sent[saga.id], completed.at, "take", saga.size, -saga.size)
    failed = told.get("order.failed")
    if failed and failed.fact.reason == "out_of_stock":  # type: ignore[attr-defined]
        return Done(history.sent[saga.id], failed.at, "take", saga.size, 0, refused=True)
    return None


def _claims(
    plan: Plan, history: History, promotion: Promotion, code: str, states: Mapping[str, int]
) -> Iterator[tuple[str, list[Done], int, int]]:
    """The redemptions as operations on the uses of their code, in all and by each account."""
    all_of_it: list[Done] = []
    waits = promotion.scarce == "wait"
    for account in plan.accounts:
        its_own: list[Done] = []
        misses = sum(_is_missed(history, saga) for saga in plan.sagas if saga.account == account)
        for saga in plan.sagas:
            if saga.kind != "redeem" or saga.of != promotion.code or saga.account != account:
                continue
            told, sent = history.told.get(saga.id, {}), history.sent.get(saga.id, 0.0)
            if redeemed := told.get("promo.redeemed"):
                its_own.append(Done(sent, redeemed.at, "claim", 1, 1))
                all_of_it.append(Done(sent, redeemed.at, "claim", promotion.uses_max or 1000, 1))
            refused = told.get("promo.refused")
            reason = refused.fact.reason if refused and waits else None  # type: ignore[attr-defined]
            if refused and reason == "already_redeemed":
                its_own.append(Done(sent, refused.at, "claim", 1, 0, refused=True))
            elif refused and reason == "code_not_accepted" and misses < MISSES_MAX:
                all_of_it.append(Done(sent, refused.at, "claim", promotion.uses_max or 1000, 0, refused=True))
        yield f"{promotion.code} of {account}", its_own, 0, states.get(f"{code}/{account}", 0)
    yield promotion.code, all_of_it, 0, states.get(code, 0)


def _is_missed(history: History, saga: Saga) -> bool:
    refused = history.told.get(saga.id, {}).get("promo.refused")
    return refused is not None and refused.fact.reason == "code_not_accepted"  # type: ignore[attr-defined]
