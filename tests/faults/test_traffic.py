"""The traffic itself: without any fault every saga ends, and a wrong is found."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from client.audit_rows import Books, OrderRow
from tests.faults.heard import unheard
from tests.faults.saga import Ending
from tests.faults.stage import Stage
from tests.faults.traffic import SAGA_S_MAX, Traffic
from tests.service.sites import rows


async def test_without_a_fault_nothing_is_found(stage: Stage) -> None:
    async with Traffic(stage, seed=1) as traffic:
        # Eight at a time end some seven sagas each: two rounds, and one to spare.
        await traffic.reaches(100, within_s=3 * SAGA_S_MAX)
        await traffic.settled("no fault")
    assert {ending.what for ending in traffic.told.values()} == {"credit", "order", "redemption", "gift"}
    assert {ending.state for ending in traffic.told.values()} >= {
        "credited",
        "completed",
        "failed",
        "cancelled",
        "redeemed",
        "refused",
    }


COIN = ("user_service", "UPDATE accounts SET balance = balance + :by WHERE account_id = :of", -1)
PIECE = ("order_service", "UPDATE stock SET pieces = pieces + :by WHERE item = :of", 1)


@pytest.mark.parametrize(("service", "change", "by"), [COIN, PIECE], ids=["coin", "piece"])
async def test_what_is_taken_or_added_by_hand_is_found(stage: Stage, service: str, change: str, by: int) -> None:
    async with Traffic(stage, seed=2, shoppers=2) as traffic:
        await traffic.reaches(5)
        await traffic.ended()
        # The scarce item, since whoever comes while this is wrong buys the other one, and the ledger would keep it.
        of = traffic.shop.scarce.name if change == PIECE[1] else next(iter(traffic.told.values())).account
        await rows(stage.site, service, change, by=by, of=of)
        try:
            with pytest.raises(AssertionError, match=of):
                await traffic.settled("something changed by hand")
        finally:
            await rows(stage.site, service, change, by=-by, of=of)


def test_an_ending_that_is_never_announced_is_found() -> None:
    order = OrderRow(uuid4(), "a-1", "tea", 1, 7, "instant", "completed", datetime.now(UTC))
    credit_id, announced = uuid4(), ("order", order.order_id, "completed", 0)
    books = Books(orders=(order,))
    told = {credit_id: Ending("credit", "a-1", "credited", 5)}
    assert list(unheard({announced}, {}, books, [], "a-")) == []
    assert list(unheard(set(), {}, books, [], "b-")) == []
    (kept_only,) = unheard(set(), {}, books, [], "a-")
    assert str(order.order_id) in kept_only
    (told_only,) = unheard({announced}, told, books, [], "a-")
    assert str(credit_id) in told_only


def test_an_announcement_that_contradicts_what_is_kept_is_found() -> None:
    order = OrderRow(uuid4(), "a-1", "tea", 1, 7, "instant", "completed", datetime.now(UTC))
    heard = {("order", order.order_id, state, 0) for state in ("completed", "failed")}
    (found,) = unheard(heard, {}, Books(orders=(order,)), [], "a-")
    assert "announced as failed" in found


async def test_a_relay_that_loses_an_announcement_is_found(stage: Stage) -> None:
    """One ending is taken out of what was heard, as if it had never been published."""
    async with Traffic(stage, seed=3, shoppers=2) as traffic:
        await traffic.reaches(5)
        await traffic.ended()
        await traffic.until_confirmed(traffic.heard.catch_up)
        ending = traffic.heard.endings.pop()
        with pytest.raises(AssertionError, match=f"{ending[1]}.*no event ever said so"):
            await traffic.settled("an announcement lost")
