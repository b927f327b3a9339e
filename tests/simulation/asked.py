"""What clients asked for, as the plan has it and not as the services tell it: sizes, refusals and ends must fit it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import UUID

from client.audit_rows import Books
from contracts.base import Fact
from contracts.events import CoinsMultiplied, CoinsRefused, OrderFailed, PromoRedeemed, PromoRefused
from tests.simulation.history import History, Told
from tests.simulation.plan import Fault, Plan, Saga

UNHURRIED = 0.97
"""Deadlines are kept by clocks that may be this much faster than the world's."""
UNFAULTED_S = 0.5
"""How long messages take at most between the services in a saga, where no fault delays them."""
LATE: frozenset[Fault] = frozenset(("delay", "reorder", "crash", "cut", "purge"))
"""The faults that can make a saga miss its deadline. What is doubled, sent or handled again comes no later, and each
service measures a deadline by its own clock alone."""
RECOVERED_S = 1.0
"""How long after the last fault what is sent is not hurt by it any more, but for having to wait behind what is."""
PENDING_MAX = 1000
ENDS = {
    "order.completed": "completed",
    "order.failed": "failed",
    "order.cancelled": "cancelled",
    "promo.redeemed": "redeemed",
    "promo.refused": "refused",
}
OF_COINS = ("coins.credited", "coins.reserved", "coins.captured", "coins.released", "coins.expired")


def operation_of(plan: Plan, saga: Saga) -> tuple[str, int]:
    """The kind and size of the operation that the saga asks for."""
    match saga.kind:
        case "credit":
            return "credit", saga.size
        case "buy":
            return "reserve", saga.size * next(each.price for each in plan.goods if each.name == saga.of)
        case "redeem":
            promo = next(each for each in plan.promotions if each.code == saga.of)
            return "multiply" if promo.multiplies else "bonus", promo.size


def lasts_s(plan: Plan, saga: Saga) -> float:
    """How long the saga may be open, in seconds: a credit not at all."""
    return 0.0 if saga.kind == "credit" else saga.lasts_s or plan.lasts_s


def not_as_asked(plan: Plan, history: History, books: Books) -> Iterator[str]:
    """Operations and answers of another kind or size than the client's command says."""
    kept = {each.operation_id: each for each in books.users.operations}
    for saga in plan.sagas:
        kind, size = operation_of(plan, saga)
        operation = kept.get(saga.id)
        if operation and operation.kind and (operation.kind, operation.size) != (kind, size):
            yield f"saga {saga.number} asked to {kind} {size}, kept is {operation}"
        for each in history.told.get(saga.id, {}).values():
            told: object = size
            if isinstance(each.fact, CoinsMultiplied):
                told = each.fact.factor
            elif each.fact.type in (*OF_COINS, "order.placed"):
                told = each.fact.amount  # type: ignore[attr-defined]
            if told != size:
                yield f"saga {saga.number} asked to {kind} {size}, was told {each.fact!r}"


def refused_without_reason(plan: Plan, history: History) -> Iterator[str]:
    """Refusals and failures whose reason cannot be: the plan gives none, or its time has not come."""
    for saga in plan.sagas:
        told = history.told.get(saga.id, {})
        for each in told.values():
            reason = _reason(each.fact)
            if reason and not _may_be(plan, saga, told, each, reason, history):
                yield f"saga {saga.number}, {saga}: {each.fact!r} at {each.at:.3f} s"


def _reason(fact: Fact) -> str | None:
    if isinstance(fact, CoinsRefused | OrderFailed | PromoRefused):
        return fact.reason
    return {"coins.expired": "deadline_passed", "order.cancelled": "cancelled"}.get(fact.type)


def _may_be(plan: Plan, saga: Saga, told: Mapping[str, Told], at: Told, reason: str, history: History) -> bool:
    match reason:
        case "insufficient_coins":
            return saga.kind == "buy"
        case "deadline_passed" | "wait_deadline_passed" | "reservation_expired":
            in_time = at.at < history.sent[saga.id] + lasts_s(plan, saga) * UNHURRIED
            return not in_time and (_may_be_hurt(plan, saga, history) or _may_be_late(plan, saga, told))
        case "pending_limit":
            return plan.pending_max < PENDING_MAX
        case "unknown_account":
            return saga.account in plan.opened_late
        case "cancelled":
            return saga.cancels_after_s is not None
        case "order_failed":
            return "order.failed" in told
        case "promo_refused":
            return "promo.refused" in told
        case "out_of_stock":
            return _demand(plan, saga) > next(each.stock for each in plan.goods if each.name == saga.of)
        case "rejected":
            return saga.of == "ordered" and saga.warehouse == "rejects"
        case "code_not_accepted":
            others = sum(other.of == saga.of and other.id != saga.id for other in plan.sagas)
            return any(others >= each.uses_max for each in plan.promotions if each.code == saga.of and each.uses_max)
        case "already_redeemed":
            return any(
                other.account == saga.account and other.of == saga.of and other.id != saga.id for other in plan.sagas
            )
        case _:
            return False


def _may_be_hurt(plan: Plan, saga: Saga, history: History) -> bool:
    """Whether a fault can have held up the saga's own messages."""
    return bool(plan.faults & LATE) and history.sent[saga.id] < plan.faulty_until + RECOVERED_S


def _may_be_late(plan: Plan, saga: Saga, told: Mapping[str, Told]) -> bool:
    """Whether a saga can miss its deadline where there are no faults: it waits for others, or for the warehouse."""
    if any(name.startswith("operation.waiting") for name in told):
        return True
    slow = saga.answers_after_s + UNFAULTED_S >= lasts_s(plan, saga)
    return saga.of == "ordered" and (saga.warehouse == "is silent" or slow)


def _demand(plan: Plan, saga: Saga) -> int:
    """How many of the saga's item are bought at most; none of those that never run out."""
    goods = next(each for each in plan.goods if each.name == saga.of)
    return 0 if goods.external else sum(each.size for each in plan.sagas if each.of == saga.of)


def unanswered_cancels(plan: Plan, history: History) -> Iterator[str]:
    """Cancels of which nobody was told what became of them. A purge may have thrown one away."""
    for saga in plan.sagas:
        if saga.cancels_after_s is None or saga.id not in history.sent or "purge" in plan.faults:
            continue
        if not history.told.get(saga.id, {}).keys() & {"order.cancelled", "order.cancel_refused"}:
            yield f"saga {saga.number}, {saga}"


def ended_otherwise(history: History, books: Books) -> Iterator[str]:
    """Sagas whose client was told two ends, or another than the service keeps."""
    states: dict[UUID, tuple[str, int | None]] = {each.order_id: (each.state, None) for each in books.orders}
    states |= {each.redemption_id: (each.state, each.added) for each in books.promos.redemptions}
    for saga, told in history.told.items():
        ends = [each.fact for name, each in told.items() if name in ENDS]
        if len(ends) > 1:
            yield f"{saga} was told {ends}"
        for end in ends:
            state, added = states.get(saga, (None, None))
            if ENDS[end.type] != state or (isinstance(end, PromoRedeemed) and end.added != added):
                yield f"{saga} was told {end!r}, kept is {state} with {added} coins added"
