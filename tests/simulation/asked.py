"""What clients asked for, as the plan has it and not as the services tell it: sizes, refusals and ends must fit it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import UUID

from contracts.events import CoinsMultiplied, CoinsRefused, OrderFailed, PromoRedeemed, PromoRefused
from holdfast.delivery.words import Fact
from tests.simulation.history import History, Told
from tests.simulation.plan import EXTERNAL, Fault, Goods, Plan, Promotion, Saga
from tests.simulation.rows import Left

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
WAITING = ("operation.waiting", "operation.accepted", "order.waiting", "promo.waiting")
ENDS = {
    "order.completed": "completed",
    "order.failed": "failed",
    "order.cancelled": "cancelled",
    "promo.redeemed": "redeemed",
    "promo.refused": "refused",
}
OF_COINS = ("coins.credited", "coins.reserved", "coins.captured", "coins.released", "coins.expired")
GUESTS_ENDS = (
    "coins.credited",
    "coins.multiplied",
    "coins.captured",
    "coins.released",
    "coins.expired",
    "coins.refused",
)


def goods_of(plan: Plan, saga: Saga) -> list[Goods]:
    """The saga's item as it was put, the first time and later on."""
    puts = [put.goods for put in plan.puts if put.goods.name == saga.of]
    return [*(each for each in plan.goods if each.name == saga.of), *puts]


def promotion_of(plan: Plan, saga: Saga) -> Promotion:
    """The saga's code."""
    return next(each for each in plan.promotions if each.code == saga.of)


def operations_of(plan: Plan, saga: Saga) -> set[tuple[str, int]]:
    """The kinds and sizes of operation that the saga can ask for."""
    match saga.kind:
        case "credit":
            return {("credit", saga.size)}
        case "buy":
            return {("reserve", saga.size * each.price) for each in goods_of(plan, saga)}
        case "fee":
            return {("fee", saga.size)}
        case "redeem":
            promo = promotion_of(plan, saga)
            return {("multiply" if promo.multiplies else "bonus", promo.size)}
        case "guest":
            return {({"out": "reserve", "in": "receive"}.get(saga.of, saga.of), saga.size)}


def deadline_s(plan: Plan, saga: Saga) -> float:
    """Seconds after which the saga's own deadline may end it, if nothing else does; for a change of a balance, that
    which it may stand outside.
    """
    if saga.kind in ("credit", "fee"):
        return plan.joins_s
    if saga.kind == "guest" and saga.of not in ("out", "in"):
        return min(saga.lasts_s or plan.joins_s, plan.joins_s)
    return saga.lasts_s or plan.lasts_s


def lasts_s(plan: Plan, saga: Saga) -> float:
    """Seconds within which the saga ends. What nothing withdraws waits for others, each of which ends in its time."""
    own = deadline_s(plan, saga)
    match saga.kind:
        case "credit":
            return (own if saga.after else 0.0) + (plan.longest_s if saga.account in plan.rich else 0.0)
        case "fee":
            return own + plan.longest_s
        case "redeem" if saga.lasts_s is None:
            return own + plan.longest_s
        case "guest" if saga.of not in ("out", "in"):
            return plan.joins_s + (saga.lasts_s or plan.longest_s)
        case _:
            return own


def not_as_asked(plan: Plan, history: History, left: Left) -> Iterator[str]:
    """Operations and answers of another kind or size than the client's command says."""
    kept = {each.id: each for each in left.entities["user_service"].operations}
    for saga in plan.sagas:
        wanted = operations_of(plan, saga)
        sizes = {size for _, size in wanted}
        operation = kept.get(saga.id)
        if operation and operation.kind and (operation.kind, operation.size) not in wanted:
            yield f"saga {saga.number} asked to {wanted}, kept is {operation}"
        for each in history.told.get(saga.id, {}).values():
            told: object = None
            if isinstance(each.fact, CoinsMultiplied):
                told = each.fact.factor
            elif each.fact.type in (*OF_COINS, "order.placed"):
                told = each.fact.amount  # type: ignore[attr-defined]
            if told is not None and told not in sizes:
                yield f"saga {saga.number} asked to {wanted}, was told {each.fact!r}"


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
            return saga.kind == "buy" or saga.of == "out"
        case "deadline_passed" | "wait_deadline_passed" | "reservation_expired" | "named_missing":
            in_time = at.at < history.sent[saga.id] + deadline_s(plan, saga) * UNHURRIED
            if reason == "named_missing":
                return bool(saga.after) and not in_time
            return not in_time and (_may_be_hurt(plan, saga, history) or _may_be_late(plan, saga, told))
        case "balance_limit":
            return saga.account in plan.rich
        case "pending_limit":
            return plan.pending_max < PENDING_MAX
        case "unknown_account":
            return saga.account in plan.opened_late
        case "cancelled":
            return saga.kind == "buy" and saga.cancels_after_s is not None
        case "guest_gave_up":
            return saga.kind == "guest" and (saga.cancels_after_s is not None or saga.owner == "rejects")
        case "order_failed":
            return "order.failed" in told
        case "promo_refused":
            return "promo.refused" in told
        case _:
            return _may_be_gone(plan, saga, reason)


def _may_be_gone(plan: Plan, saga: Saga, reason: str) -> bool:
    """Whether others can have taken what there was."""
    match reason:
        case "out_of_stock":
            least = min((each.stock for each in goods_of(plan, saga) if each.stock is not None), default=None)
            return least is not None and _demand(plan, saga) > least
        case "rejected":
            return saga.of in EXTERNAL and saga.owner == "rejects"
        case "code_not_accepted":
            uses_max = promotion_of(plan, saga).uses_max
            return uses_max is not None and len(_others(plan, saga)) >= uses_max
        case "already_redeemed":
            return any(other.account == saga.account for other in _others(plan, saga))
        case _:
            return False


def _others(plan: Plan, saga: Saga) -> list[Saga]:
    """The other redemptions of its code."""
    return [other for other in plan.sagas if other.kind == "redeem" and other.of == saga.of and other.id != saga.id]


def _may_be_hurt(plan: Plan, saga: Saga, history: History) -> bool:
    """Whether a fault can have held up the saga's own messages."""
    return bool(plan.faults & LATE) and history.sent[saga.id] < plan.faulty_until + RECOVERED_S


def _may_be_late(plan: Plan, saga: Saga, told: Mapping[str, Told]) -> bool:
    """Whether a saga can miss its deadline where there are no faults: it waits for others, or for its owner."""
    if any(name.startswith(WAITING) for name in told):
        return True
    slow = saga.owner == "is silent" or saga.answers_after_s + UNFAULTED_S >= deadline_s(plan, saga)
    return slow and (saga.of in EXTERNAL or (saga.kind == "guest" and saga.of in ("out", "in")))


def _demand(plan: Plan, saga: Saga) -> int:
    """How many of the saga's item are bought at most."""
    return sum(each.size for each in plan.sagas if each.kind == "buy" and each.of == saga.of)


def unanswered_cancels(plan: Plan, history: History) -> Iterator[str]:
    """Cancels of which nobody was told what became of them. A purge may have thrown one away."""
    for saga in plan.sagas:
        if saga.kind != "buy" or saga.cancels_after_s is None or saga.id not in history.sent:
            continue
        told = history.told.get(saga.id, {}).keys() & {"order.cancelled", "order.cancel_refused"}
        if not told and "purge" not in plan.faults:
            yield f"saga {saga.number}, {saga}"


def ended_otherwise(plan: Plan, history: History, left: Left) -> Iterator[str]:
    """Sagas whose client was told two ends, or another than the service keeps."""
    states: dict[UUID, tuple[str, int | None]] = {each.id: (each.state, None) for each in left.orders}
    states |= {each.id: (each.state, each.added) for each in left.redemptions}
    guests = {saga.id for saga in plan.sagas if saga.kind == "guest"}
    for saga, told in history.told.items():
        names = GUESTS_ENDS if saga in guests else tuple(ENDS)
        ends = [each.fact for each in told.values() if each.fact.type in names]
        if len(ends) > 1:
            yield f"{saga} was told {ends}"
        for end in ends if saga not in guests else ():
            state, added = states.get(saga, (None, None))
            if ENDS[end.type] != state or (isinstance(end, PromoRedeemed) and end.added != added):
                yield f"{saga} was told {end!r}, kept is {state} with {added} coins added"
