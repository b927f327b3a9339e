"""The traffic itself: without any fault every saga ends, and a wrong is found."""

from __future__ import annotations

import pytest

from tests.faults.stage import Stage
from tests.faults.traffic import Traffic
from tests.service.sites import rows


async def test_without_a_fault_nothing_is_found(stage: Stage) -> None:
    async with Traffic(stage, seed=1) as traffic:
        await traffic.reaches(100)
        await traffic.settled("no fault")
    assert {ending.state for ending in traffic.told.values()} >= {
        "credited",
        "completed",
        "failed",
        "cancelled",
        "redeemed",
        "refused",
    }


async def test_a_coin_that_is_lost_is_found(stage: Stage) -> None:
    async with Traffic(stage, seed=2, shoppers=2) as traffic:
        await traffic.reaches(5)
        account = next(iter(traffic.told.values())).account
        await rows(
            stage.site, "user_service", "UPDATE accounts SET balance = balance - 1 WHERE account_id = :a", a=account
        )
        try:
            with pytest.raises(AssertionError, match=account):
                await traffic.settled("a coin taken away")
        finally:
            await rows(
                stage.site, "user_service", "UPDATE accounts SET balance = balance + 1 WHERE account_id = :a", a=account
            )
