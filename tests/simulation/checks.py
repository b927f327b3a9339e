"""What must be true of a run at its end. Each check has the name by which reports call it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from contracts.events import CoinsMultiplied, OperationAccepted
from holdfast.delivery.words import Fact
from tests.simulation import audited
from tests.simulation.agreement import ended_for_another_reason, goods_and_uses
from tests.simulation.asked import ended_otherwise, lasts_s, not_as_asked, refused_without_reason, unanswered_cancels
from tests.simulation.guest import GuestConfirmed
from tests.simulation.histories import answer_of, findings
from tests.simulation.history import History
from tests.simulation.kept import hashed
from tests.simulation.plan import Plan, Saga
from tests.simulation.rows import Left, OperationRow, OrderRow, RedemptionRow
from tests.simulation.watch import Violation

WITHIN_S = 10.0
"""How long after its deadline, and after the faults, a saga may take to end."""
ASKED_AGAIN_S = 120.0
"""How much longer, where what was thrown away is asked for again."""
WAITING = {
    "user_service": ("operation.waiting", "operation.accepted"),
    "order_service": ("order.waiting",),
    "promo_service": ("promo.waiting",),
}
OPEN = ("placed", "reserved", "confirmed", "waiting", "claimed")


def judge(plan: Plan, history: History, left: Left) -> list[Violation]:
    """All that is wrong at the end of a run."""
    return list(_violations(plan, history, left))


def _violations(plan: Plan, history: History, left: Left) -> Iterator[Violation]:
    guests = {saga.id for saga in plan.sagas if saga.kind == "guest"}
    for fact, reason in left.parked:
        if not (isinstance(fact, GuestConfirmed) and fact.guest_id not in guests):
            yield Violation("no healthy dead letter", f"{fact!r}: {reason}")
    yield from (Violation("exactly once", each) for each in left.twice)
    for event in left.said:
        if event.id not in history.out:
            yield Violation("announcements get out", f"{event.fact!r} was committed, and the broker never had it")
    hashes = {each.code: hashed(each.code) for each in plan.promotions}
    yield from (Violation(check, what) for check, what in goods_and_uses(plan, left, hashes))
    yield from (Violation("one answer", differing) for differing in history.differing)
    yield from (Violation("sagas go on", each) for each in ended_for_another_reason(left))
    operations = {each.id: each for each in left.entities["user_service"].operations}
    yield from (Violation("audit", each) for each in audited.findings(plan, left))
    yield from _answers(history, operations)
    yield from _accepted(history, left)
    yield from _order(plan, history, left)
    yield from (Violation("as asked", each) for each in not_as_asked(plan, history, left))
    yield from (Violation("refused for a reason", each) for each in refused_without_reason(plan, history))
    yield from (Violation("cancels are answered", each) for each in unanswered_cancels(plan, history))
    yield from (Violation("told as kept", each) for each in ended_otherwise(plan, history, left))
    yield from _ends(plan, history, left)
    yield from (Violation("serial order", each) for each in findings(plan, history, left, hashes))


ALLOWED = {
    "coins.charged": ("charged",),
    "coins.credited": ("credited",),
    "coins.reserved": ("reserved", "captured", "released", "expired"),
    "coins.captured": ("captured",),
    "coins.released": ("released",),
    "coins.expired": ("expired",),
    "coins.multiplied": ("multiplied",),
    "coins.refused": ("refused",),
}


def _answers(history: History, operations: dict[UUID, OperationRow]) -> Iterator[Violation]:
    """What was announced of an operation is what the user service knows of it."""
    for saga, told in history.told.items():
        operation = operations.get(saga)
        for each in told.values():
            states = ALLOWED.get(each.fact.type)
            if states and (operation is None or operation.state not in states):
                yield Violation("answers as kept", f"{each.fact!r}, but kept is {operation}")
            if isinstance(each.fact, CoinsMultiplied) and operation and each.fact.added != operation.answer:
                yield Violation("answers as kept", f"{each.fact!r}, but kept is {operation}")


def _accepted(history: History, left: Left) -> Iterator[Violation]:
    """What is accepted is told so, and takes effect."""
    told = {saga for saga, facts in history.told.items() if any(_is_accepted(each.fact) for each in facts.values())}
    if left.accepted - told:
        yield Violation("acceptance is told", f"{left.accepted - told}")
    for each in left.entities["user_service"].operations:
        if each.id in told and each.state == "refused":
            yield Violation("accepted is never refused", f"{each}")
    for service, waited in left.waited.items():
        for saga in waited:
            if not any(name.startswith(WAITING[service]) for name in history.told.get(saga, ())):
                yield Violation("waits are told", f"{saga} waited in {service}")


def _is_accepted(fact: Fact) -> bool:
    return isinstance(fact, OperationAccepted)


def _order(plan: Plan, history: History, left: Left) -> Iterator[Violation]:
    """What was answered, or accepted, before another was sent stands before it, and so does what it names."""
    lined = {line.id: line.seq for line in left.entities["user_service"].ledger}
    by_number = {saga.number: saga for saga in plan.sagas}
    by_account: dict[str, list[Saga]] = {}
    for saga in plan.sagas:
        if saga.id in lined and saga.id in history.sent:
            by_account.setdefault(saga.account, []).append(saga)
    for sagas in by_account.values():
        ended = [(_answered_at(history, saga), lined[saga.id], saga.number) for saga in sagas]
        for later in sagas:
            sent, line = history.sent[later.id], lined[later.id]
            for answered_at, its_line, number in ended:
                if answered_at < sent and its_line > line:
                    yield Violation("real-time order", f"saga {number} was answered before {later.number} was sent")
            for number in later.after:
                named = by_number.get(number)
                if named and named.account == later.account and lined.get(named.id, 0) > line:
                    yield Violation("after", f"saga {later.number} named {named.number}, and stands before it")


def _answered_at(history: History, saga: Saga) -> float:
    answer = answer_of(history, saga)
    return answer[1] if answer else float("inf")


def _ends(plan: Plan, history: History, left: Left) -> Iterator[Violation]:
    """Every saga that was begun has ended, its client knows how, and in its own time once faults have stopped."""
    sagas: list[OrderRow | RedemptionRow] = [*left.orders, *left.redemptions]
    is_open = [each for each in sagas if each.state in OPEN]
    pending = [each for some in left.entities.values() for each in some.operations if each.pending]
    if is_open or pending:
        yield Violation("every saga ends", f"{is_open} and {pending} have not")
    grace_s = WITHIN_S + (ASKED_AGAIN_S if "purge" in plan.faults else 0.0)
    for saga in plan.sagas:
        if saga.id not in history.sent:
            continue
        ended = history.ended.get(saga.id)
        if ended is None and plan.mode == "safety" and "purge" in plan.faults:
            continue  # its command may be gone, and its client does not send it again
        if ended is None:
            yield Violation("every saga ends", f"the client of saga {saga.number} never heard the end of it")
        elif ended > max(plan.faulty_until, history.sent[saga.id]) + (lasts_s(plan, saga) + grace_s) * 1.02:
            yield Violation("every saga ends", f"saga {saga.number} ended {ended:.1f} s after the start, which is late")
