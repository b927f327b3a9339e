"""An account's view takes one pass over its log, and is a small message however long that is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from pydantic_core import to_json

from contracts.base import COINS_MAX
from contracts.events import WAITS_FOR_MAX
from contracts.queries import PENDING_SHOWN_MAX
from user_service import account as accounts
from user_service.account import Account, waits_for
from user_service.operation import Operation
from user_service.views import account_view

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
ANSWER_BYTES_MAX = 256 * 1024


def _crowded(count: int) -> Account:
    """Reserves that wait behind one that is held, with numbers as long as they come."""
    until = NOW + timedelta(seconds=900, microseconds=1)
    log = [
        Operation(uuid4(), place, "reserve", COINS_MAX, "waiting", until, cause="order.placed")
        for place in range(2, count + 1)
    ]
    first = Operation(uuid4(), 1, "reserve", 10, "reserved", until, cause="order.placed")
    return Account("a" * 64, True, COINS_MAX, count, 0, (first, *log))


@pytest.mark.parametrize("count", [100, 1000, 5000])
def test_a_long_log_is_walked_once(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    account, settled_by, calls = _crowded(count), accounts._settled_by, 0

    def counted(operation: Operation, answered_by: datetime) -> datetime:
        nonlocal calls
        calls += 1
        return settled_by(operation, answered_by)

    monkeypatch.setattr(accounts, "_settled_by", counted)
    account_view(account, NOW)
    assert 0 < calls <= count


def test_the_first_are_shown_and_how_many_there_are() -> None:
    account = _crowded(1000)
    view = account_view(account, NOW)
    assert [each.operation_id for each in view.pending] == [each.id for each in account.log[:PENDING_SHOWN_MAX]]
    assert view.pending_count == 1000
    assert len(to_json({"answer": view.model_dump(mode="json")})) < ANSWER_BYTES_MAX


def test_each_waits_for_what_it_was_told() -> None:
    account = _crowded(50)
    for shown in account_view(account, NOW).pending[1:]:
        ahead, until, _ = waits_for(account, shown.operation_id)
        assert (shown.waits_for, shown.waits_until) == (ahead[:WAITS_FOR_MAX], until)
