"""The number of statements in a transaction does not depend on how many events it handles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event

from contracts.commands import (
    CreditAccount,
    FulfilmentRejected,
    OpenAccount,
    PlaceOrder,
    PutItem,
    PutPromo,
    RedeemPromo,
)
from contracts.events import CoinsCaptured, CoinsCredited, OrderConfirmed
from contracts.roles import Bonus
from holdfast.delivery.words import Fact, Service
from local.site import Site
from tests.service.facts import doubled, placed, reserved
from tests.service.sites import Instance, arrived, kept_as, unstarted, value

MANY = 200


@pytest.mark.parametrize("service", ["user_service", "order_service", "promo_service"])
async def test_two_hundred_events_take_as_many_statements_as_one(site: Site, service: Service) -> None:
    async with unstarted(site, service) as instance:
        one = [await _statements(instance, facts) for facts in _rounds(service, 1)]
        many = [await _statements(instance, facts) for facts in _rounds(service, MANY)]
    assert many == one
    assert max(one) <= 13
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
        case _:
            raise AssertionError(service)


@pytest.mark.parametrize(("size", "enough"), [(500, 500), (100, 50)])
@pytest.mark.parametrize("service", ["user_service", "order_service", "promo_service"])
async def test_a_rush_for_one_thing_takes_as_many_statements_as_one_who_wants_it(
    site: Site, service: Service, size: int, enough: int
) -> None:
    """Who comes after there is nothing left waits, until it is certain that nobody gives anything back."""
    async with unstarted(site, service) as instance:
        one = [await _statements(instance, facts) for facts in _rush(service, 1, 1).rounds]
        rush = _rush(service, size, enough)
        many = [await _statements(instance, facts) for facts in rush.rounds[:-1]]
        assert await value(site, service, rush.waiting, thing=rush.thing(site)) == size - enough
        many.append(await _statements(instance, rush.rounds[-1]))
    assert many == one
    assert await value(site, service, rush.waiting, thing=rush.thing(site)) == 0
    assert await value(site, service, rush.left, thing=rush.thing(site)) == 0
    assert await value(site, service, "SELECT count(*) FROM inbox WHERE parked_reason IS NOT NULL") == 0


@dataclass(frozen=True)
class _Rush:
    """Everybody wants the same `thing` at once. `waiting`: counts those who wait for it; `left`: what nobody got."""

    rounds: list[list[Fact]]
    thing: Callable[[Site], str]
    waiting: str
    left: str


def _rush(service: Service, size: int, enough: int) -> _Rush:
    name, ids = str(uuid4()), [uuid4() for _ in range(size)]
    winners = ids[:enough]
    match service:
        case "user_service":
            credit = CreditAccount(credit_id=uuid4(), account_id=name, amount=enough)
            return _Rush(
                [
                    [OpenAccount(account_id=name), credit],
                    [placed(name, each, amount=1) for each in ids],
                    [OrderConfirmed(order_id=each, account_id=name) for each in winners],
                ],
                lambda _: name,
                "SELECT count(*) FROM operations WHERE account_id = :thing AND state = 'waiting'",
                "SELECT balance FROM accounts WHERE account_id = :thing",
            )
        case "order_service":
            return _Rush(
                [
                    [PutItem(item=name, price=5, stock=enough)],
                    [PlaceOrder(order_id=each, account_id="buyer", item=name) for each in ids],
                    [reserved("buyer", each) for each in ids],
                    [
                        CoinsCaptured(account_id="buyer", operation_id=each, asked_by="order", amount=5)
                        for each in winners
                    ],
                ],
                lambda _: name,
                "SELECT count(*) FROM operations WHERE item = :thing AND state = 'waiting'",
                "SELECT pieces FROM stock WHERE item = :thing",
            )
        case _:
            fans = {each: f"{name}-{number}" for number, each in enumerate(ids)}
            return _Rush(
                [
                    [PutPromo(code=name, effect=Bonus(amount=1), uses_max=enough)],
                    [RedeemPromo(redemption_id=each, account_id=fans[each], code=name) for each in ids],
                    [
                        CoinsCredited(
                            account_id=fans[each], operation_id=each, asked_by="promo", kind="bonus", amount=1
                        )
                        for each in winners
                    ],
                ],
                lambda site: kept_as(site, name),
                "SELECT count(*) FROM redemptions WHERE code_hash = :thing AND state = 'waiting'",
                "SELECT uses_max - count FROM uses JOIN codes ON use_of = code_hash WHERE use_of = :thing",
            )


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
