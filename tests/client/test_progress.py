"""What the command line says of an order or a redemption in its first moments."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from client.errors import Unreachable
from client.progress import USE_OF_THE_CODE, order_progress, redemption_progress
from client.questions import Questions
from contracts.queries import AccountView, ItemView, OrderView, RedemptionView
from holdfast.entities.words import PendingView

A, B = UUID("aaaaaaaa-0000-4000-8000-000000000001"), UUID("bbbbbbbb-0000-4000-8000-000000000002")
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Answers:
    """Services that answer each question with the next of its answers, and with the last one from then on."""

    def __init__(self, **answers: Sequence[object]) -> None:
        self._answers = {name: deque(each) for name, each in answers.items()}

    def __getattr__(self, name: str) -> Any:
        async def ask(*_: object) -> object:
            left = self._answers[name]
            answer = left.popleft() if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask


def services(**answers: Sequence[object]) -> Questions:
    return cast(Questions, Answers(**answers))


def order(state: str, fulfilment: str = "instant") -> OrderView:
    return OrderView.model_validate(
        {
            "order_id": B,
            "account_id": "bob",
            "item": "sword",
            "quantity": 1,
            "amount": 20,
            "fulfilment": fulfilment,
            "state": state,
            "reason": None,
            "deadline": None,
        }
    )


def redemption(state: str) -> RedemptionView:
    return RedemptionView.model_validate(
        {"redemption_id": B, "account_id": "bob", "state": state, "reason": None, "added": None}
    )


def waits(kind: str, state: str, size: int) -> PendingView:
    return PendingView(
        operation_id=B,
        kind=kind,
        state=state,
        size=size,
        deadline=None,
        waits_for=(A,),
        waits_until=NOW + timedelta(seconds=60),
    )


def account(*pending: PendingView) -> AccountView:
    return AccountView(account_id="bob", balance=5, available=5, possible=5, pending=pending, now=NOW)


def item(*pending: PendingView) -> ItemView:
    return ItemView(
        item="sword", price=20, stock=0, possible=1, fulfilment="instant", scarce="wait", pending=pending, now=NOW
    )


async def test_an_order_is_looked_at_until_its_coins_are_answered() -> None:
    asked = services(order=[order("placed"), order("placed"), order("failed")], account=[None, account()])
    assert await order_progress(asked, B, 10) == (order("failed"), None)


async def test_an_order_that_waits_for_its_coins_says_so() -> None:
    asked = services(order=[order("placed")], account=[account(), account(waits("reserve", "waiting", 20))])
    waiting = order("placed"), "reserve 20 waits for command aaaaaaaa, at most 60 s"
    assert await order_progress(asked, B, 10) == waiting


@pytest.mark.parametrize("fulfilment", ["instant", "external"])
async def test_an_order_that_waits_for_its_goods_says_so(fulfilment: str) -> None:
    asked = services(order=[order("reserved", fulfilment)], item=[item(waits("take", "waiting", 1))])
    waiting = order("reserved", fulfilment), "take 1 waits for command aaaaaaaa, at most 60 s"
    assert await order_progress(asked, B, 10) == waiting


async def test_an_order_that_is_with_its_warehouse_waits_for_no_other() -> None:
    asked = services(order=[order("reserved", "external")], item=[item()])
    assert await order_progress(asked, B, 10) == (order("reserved", "external"), None)


async def test_a_redemption_that_is_accepted_says_what_its_size_waits_for() -> None:
    asked = services(redemption=[redemption("claimed")], account=[account(waits("multiply", "accepted", 2))])
    words = "multiply x2 is accepted and waits for command aaaaaaaa, at most 60 s"
    assert await redemption_progress(asked, B, 10) == (redemption("claimed"), words)


async def test_a_redemption_that_waits_for_a_use_says_so() -> None:
    asked = services(redemption=[redemption("waiting")])
    assert await redemption_progress(asked, B, 10) == (redemption("waiting"), USE_OF_THE_CODE)


async def test_a_redemption_is_looked_at_until_it_has_ended() -> None:
    asked = services(redemption=[redemption("claimed"), redemption("redeemed")], account=[account()])
    assert await redemption_progress(asked, B, 10) == (redemption("redeemed"), None)


async def test_a_user_service_that_does_not_answer_keeps_nobody_for_long() -> None:
    asked = services(order=[order("placed")], account=[Unreachable("nobody answered")])
    assert await order_progress(asked, B, 0.05) == (order("placed"), None)


async def test_an_order_that_is_unknown_has_made_no_progress() -> None:
    assert await order_progress(services(order=[None]), B, 10) == (None, None)


async def test_a_service_that_never_answered_is_told() -> None:
    with pytest.raises(Unreachable):
        await order_progress(services(order=[Unreachable("nobody answered")]), B, 10)
