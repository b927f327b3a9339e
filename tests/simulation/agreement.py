"""What was sold and used is what is gone, and how a saga ended is how its pieces were answered, once a run is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import UUID

from tests.simulation.plan import Plan
from tests.simulation.rows import Entities, Left


def goods_and_uses(plan: Plan, left: Left, hashes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
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


def ended_for_another_reason(left: Left) -> Iterator[str]:
    """Orders that say there were no pieces for them although the stock did not, or do not say so although it did."""
    pieces = {each.id: each for each in left.entities["order_service"].operations if each.kind != "restock"}
    for order in left.orders:
        taken = pieces.get(order.id)
        if taken and (taken.reason == "out_of_stock") != (order.reason == "out_of_stock"):
            yield f"{order}, but its pieces are {taken}"
