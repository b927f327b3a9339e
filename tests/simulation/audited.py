"""What the operator's audit finds in what a run leaves. It has its own idea of what is right, as the simulation has."""

from __future__ import annotations

from collections.abc import Iterator

from client import audit_rows as audit
from client.audit import findings_at_one_moment
from client.audit_sagas import in_flight, saga_mismatches
from tests.simulation.kept import hashed
from tests.simulation.plan import Plan
from tests.simulation.rows import Entities, Left, LineRow, OperationRow, OrderRow, RedemptionRow


def findings(plan: Plan, left: Left) -> Iterator[str]:
    """All of them."""
    books = _books(plan, left)
    yield from map(str, findings_at_one_moment(books))
    yield from (str(each.finding) for each in saga_mismatches(books))
    if count := in_flight(books):
        yield f"{count} sagas are in flight"


def _books(plan: Plan, left: Left) -> audit.Books:
    return audit.Books(
        _entities("account", "user_service", left),
        _entities("item", "order_service", left),
        _entities("code", "promo_service", left),
        tuple(map(_order, left.orders)),
        tuple(audit.CodeRow(hashed(each.code), each.uses_max) for each in plan.promotions),
        tuple(map(_redemption, left.redemptions)),
    )


def _entities(of: str, service: str, left: Left) -> audit.Entities:
    kept: Entities = left.entities[service]
    return audit.Entities(
        of,
        left.now[service],
        tuple(audit.EntityRow(each.key, each.state, each.places, each.lines) for each in kept.entities),
        tuple(map(_operation, kept.operations)),
        tuple(map(_line, sorted(kept.ledger, key=lambda each: (each.key, each.seq)))),
    )


def _operation(each: OperationRow) -> audit.OperationRow:
    known = (each.key, each.id, each.pending, each.place, each.kind, each.size, each.state, each.after)
    times = (each.join_by, each.answer_by, each.settle_by, each.deadline)
    return audit.OperationRow(*known, *times, each.answer, each.reason, each.asked_by, each.arrived_at)


def _line(each: LineRow) -> audit.LineRow:
    known = (each.key, each.seq, each.id, each.kind, each.size, each.state, each.reason, each.asked_by)
    return audit.LineRow(*known, each.before, each.after, each.at)


def _order(each: OrderRow) -> audit.OrderRow:
    placed_at = each.placed_at or audit.NEVER
    known = (each.id, each.account, each.item, each.quantity, each.amount, each.fulfilment, each.state, placed_at)
    return audit.OrderRow(*known, each.counted, each.taken)


def _redemption(each: RedemptionRow) -> audit.RedemptionRow:
    known = (each.id, each.account, each.code, each.state, each.added, each.claimed_at or audit.NEVER)
    return audit.RedemptionRow(*known, each.kind, each.size)
