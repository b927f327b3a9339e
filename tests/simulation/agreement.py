"""The services agree how each saga ended: in coins, in pieces and in uses. Looked at once a run is over."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from tests.simulation.oracle import WANTING, answer, ends
from tests.simulation.plan import Plan
from tests.simulation.rows import Entities, EntityRow, Left, LineRow, OperationRow

DONE = ("credited", "multiplied", "captured", "restocked")
EFFECTIVE = ("credited", "multiplied")


def disagreements(left: Left) -> Iterator[str]:
    """Orders and redemptions that ended otherwise than what they asked for."""
    coins = {each.id: each for each in left.entities["user_service"].operations}
    pieces = {each.id: each for each in left.entities["order_service"].operations if each.kind != "restock"}
    for order in left.orders:
        paid, taken = coins.get(order.id), pieces.get(order.id)
        is_done = order.state == "completed"
        if _is(paid, "captured") != is_done:
            yield f"{order}, but its coins are {paid}"
        if paid and paid.kind and paid.size != order.amount:
            yield f"{order}, but its coins are {paid}"
        if taken and ((taken.state == "captured") != is_done or taken.size != order.quantity):
            yield f"{order}, but its pieces are {taken}"
        if taken and (taken.reason == "out_of_stock") != (order.reason == "out_of_stock"):
            yield f"{order}, but its pieces are {taken}"
    uses = {(each.key, each.id): each for each in left.entities["promo_service"].operations}
    for redemption in left.redemptions:
        effect, is_done = coins.get(redemption.id), redemption.state == "redeemed"
        if _is(effect, *EFFECTIVE) != is_done or (is_done and effect and effect.answer != redemption.added):
            yield f"{redemption}, but its effect is {effect}"
        for key in (redemption.code, f"{redemption.code}/{redemption.account}"):
            used = uses.get((key, redemption.id))
            if _is(used, "captured") != is_done:
                yield f"{redemption}, but its use is {used}"


def _is(operation: OperationRow | None, *states: str) -> bool:
    return operation is not None and operation.state in states


def goods_and_uses(plan: Plan, left: Left, hashes: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What was sold and used is what is gone; of nothing more than there was. `hashes`: of each code."""
    stock = left.entities["order_service"]
    pieces = {each.key: each.state for each in stock.entities}
    states = {each.id: each.state for each in left.orders}
    for item in plan.goods:
        if item.stock is None:
            continue
        sold = sum(each.quantity for each in left.orders if each.item == item.name and each.state == "completed")
        put = sum(each.size for each in stock.ledger if each.key == item.name and each.kind == "restock")
        if pieces.get(item.name) != put - sold:
            yield "goods conserved", f"{item} has {pieces.get(item.name)} left of {put}, {sold} were sold"
        if not plan.puts and put != item.stock:
            yield "goods conserved", f"{item} was put with {put}"
        for saga in plan.sagas:
            if saga.of == item.name and states.get(saga.id) == "completed" and not _took(stock, saga.id):
                yield "goods conserved", f"saga {saga.number} is completed, and took nothing"
    for promotion in plan.promotions:
        redeemed = [
            each.account
            for each in left.redemptions
            if each.code == hashes[promotion.code] and each.state == "redeemed"
        ]
        if promotion.uses_max is not None and len(redeemed) > promotion.uses_max:
            yield "limits of codes", f"{promotion} was used {len(redeemed)} times"
        if len(set(redeemed)) < len(redeemed):
            yield "limits of codes", f"{promotion} was used twice by one of {redeemed}"


def _took(stock: Entities, order_id: UUID) -> bool:
    return any(each.id == order_id and each.state == "captured" for each in stock.operations)


def ledger_findings(of: Entities) -> Iterator[str]:
    """Where a service's ledgers are not what one program writes that does one operation at a time."""
    lines: dict[str, list[LineRow]] = {}
    for line in sorted(of.ledger, key=lambda each: (each.key, each.seq)):
        lines.setdefault(line.key, []).append(line)
    for entity in of.entities:
        yield from _replayed(entity, lines.pop(entity.key, []))
    if lines:
        yield f"lines of nobody: {lines}"
    by_id = {(each.key, each.id): each for each in of.operations}
    last: dict[str, int] = {}
    lined: dict[tuple[str, UUID], LineRow] = {}
    for line in sorted(of.ledger, key=lambda each: (each.key, each.seq)):
        operation = by_id.get((line.key, line.id))
        same = operation and (operation.kind, operation.size, operation.state, operation.pending)
        if operation is None or same != (line.kind, line.size, line.state, False) or (line.key, line.id) in lined:
            yield f"{line} is of {operation}"
        elif operation.place <= last.get(line.key, 0):
            yield f"{line} stands behind place {last.get(line.key, 0)}, and has {operation.place}"
        lined[line.key, line.id] = line
        last[line.key] = operation.place if operation else 0
    for each in of.operations:
        if not each.pending and each.state != "refused" and (each.key, each.id) not in lined:
            yield f"{each} has no line"


def _replayed(entity: EntityRow, lines: list[LineRow]) -> Iterator[str]:
    state = 0
    for number, line in enumerate(lines, start=1):
        told = answer(line.kind, line.size, state)
        after = state
        if line.state in DONE:
            after = ends(line.kind, line.size, state)[0]
        if line.seq != number or line.before != state or line.after != after:
            yield f"{line} as line {number} on {state}, which leads to {after}"
        if told == "refused" and line.state != "refused":
            yield f"{line} on {state}"
        if line.state == "refused" and line.reason in WANTING and told != "refused":
            yield f"{line} on {state}"
        state = line.after
    if (entity.state, entity.lines) != (state, len(lines)):
        yield f"{entity}, but its {len(lines)} lines come to {state}"
