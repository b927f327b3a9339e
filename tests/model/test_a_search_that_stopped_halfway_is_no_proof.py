"""`make model` believes a search only if it visited everything."""

from __future__ import annotations

import pytest

from model.check import NotChecked, read


@pytest.mark.parametrize("sign", ["pan: out of memory", "error: max search depth too small", "Search not completed"])
def test_a_search_that_stopped_halfway_is_no_proof(sign: str) -> None:
    report = f"{sign}\nState-vector 60 byte, depth reached 39, errors: 0\n 75967 states, stored\n"
    with pytest.raises(NotChecked):
        read(report)
