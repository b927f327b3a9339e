"""The number of statements in a transaction does not depend on how many events it handles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event

from contracts.base import Fact, Service
from contracts.commands import (
    CreditAccount,
    FulfilmentRejected,
    OpenAccount,
    PlaceOrder,
    PutItem,
    PutPromo,
    RedeemPromo,
)
from contracts.roles import Bonus
from local.site import Site
from tests.service.facts import doubled, placed, reserved
from tests.service.sites import Instance, arrived, unstarted, value

MANY = 200


@pytest.mark.parametrize("service", ["user_service", "order_service", "promo_service"])
async def test_two_hundred_events_take_as_many_statements_as_one(site: Site, service: Service) -> None:
    async with unstarted(site, service) as instance:
        one = [await _statements(instance, facts) for facts in _rounds(service, 1)]
        many = [await _statements(instance, facts) for facts in _rounds(service, MANY)]
    assert many == one
    assert max(one) <= 12
    assert await value(site, service, "SELECT count(*) FROM inbox WHERE parked_reason IS NULL") > 3 * MANY
    assert await value(site, service, "SELECT count(*) FROM inbox WHERE parked_reason IS NOT NULL") == 0


def _rounds(service: Service, size: int) -> list[list[Fact]]:
    """Batches of each kind: new rows, changes of known ones, and settlements."""
    names, ids, others = (
        [str(uuid4()) for _ in range(size)],
        [uuid4() for _ in range(size)],
        [uuid4() for _ in range(size)],
    )
    item, code = f"item-{uuid4()}", f"code-{uuid4()}"
    pairs = list(zip(names, ids, strict=True))
    match service:
        case "user_service":
            return [
                [OpenAccount(account_id=name) for name in names],
                [CreditAccount(credit_id=uuid4(), account_id=name, amount=50) for name in names],
                [placed(name, order_id) for name, order_id in pairs],
                [doubled(name, other) for name, other in zip(names, others, strict=True)],
            ]
        case "order_service":
            return [
                [PutItem(item=f"{item}{i}", price=5, fulfilment="external") for i in range(size)],
                [PlaceOrder(order_id=order_id, account_id=name, item=f"{item}0") for name, order_id in pairs],
                [reserved(name, order_id) for name, order_id in pairs],
                [FulfilmentRejected(order_id=order_id) for order_id in ids],
            ]
        case "promo_service":
            return [
                [PutPromo(code=f"{code}{i}", effect=Bonus(amount=1)) for i in range(size)],
                [RedeemPromo(redemption_id=each, account_id=name, code=f"{code}0") for name, each in pairs],
                [RedeemPromo(redemption_id=other, account_id="fan", code="no-such-code") for other in others],
            ]


async def _statements(instance: Instance, facts: Sequence[Fact]) -> int:
    """How many statements handling these takes, one that is executed for many rows counted once."""
    counted: list[str] = []

    def count(connection: Any, cursor: Any, statement: str, *rest: object) -> None:
        counted.append(statement)

    engine = instance.engine.sync_engine
    event.listen(engine, "before_cursor_execute", count)
    try:
        await instance.work.handle([arrived(instance, fact) for fact in facts])
    finally:
        event.remove(engine, "before_cursor_execute", count)
    return len(counted)
