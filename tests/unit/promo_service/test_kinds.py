"""What a claim says of the uses behind it while it waits."""

from __future__ import annotations

import pytest

from promo_service.kinds import Claim


@pytest.mark.parametrize(("size", "greatest"), [(3, 3), (4, 4), (7, 4)])
def test_a_claim_that_waits_may_add_one_use_where_there_is_one(size: int, greatest: int) -> None:
    assert Claim(size).hull(0, 3) == (0, greatest)
