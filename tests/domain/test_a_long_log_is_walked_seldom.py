"""How often one event walks along a long log: as often whatever it names, and however many deadlines have passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from user_service import account as accounts
from user_service.account import Account, Limits, Step, arrive, pass_time
from user_service.operation import Operation

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


class Watched(tuple[Operation, ...]):
    """A log that counts how often it is walked along."""

    walks = 0

    def __iter__(self) -> Iterator[Operation]:
        type(self).walks += 1
        return super().__iter__()


@pytest.fixture(autouse=True)
def _counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watched, "walks", 0)


def walks_of(work: Callable[[], None]) -> int:
    """How often the log is walked along meanwhile."""
    before = Watched.walks
    work()
    return Watched.walks - before


def test_a_newcomer_walks_as_often_whatever_it_names() -> None:
    account = Account("a", opened=True, balance=10_000, log=Watched(held(place) for place in range(1, 500)))

    def naming(count: int) -> None:
        credit = Operation(uuid4(), 0, "credit", 5, "waiting")
        arrived = arrive(account, credit, tuple(uuid4() for _ in range(count)), NOW, Limits()).account
        assert len(arrived.log) == len(account.log) + count + 1

    assert walks_of(lambda: naming(1)) == walks_of(lambda: naming(256)) > 0


def test_reservations_that_expire_at_once_are_settled_in_one_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    settled = count_settlings(monkeypatch)
    log = tuple(replace(held(place), deadline=NOW - timedelta(seconds=place)) for place in range(1, 400))
    step = pass_time(Account("a", opened=True, balance=10_000, log=log), NOW)
    assert len(step.lines) == len(step.facts) == len(log)
    assert len(settled) == 1


def test_names_that_lapse_together_are_settled_in_one_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    settled = count_settlings(monkeypatch)
    named = [Operation(uuid4(), place, None, 0, "named", NOW) for place in range(1, 200)]
    waiting = Operation(uuid4(), 200, "multiply", 2, "waiting", LATER)
    step = pass_time(Account("a", opened=True, balance=10, log=(*named, waiting)), NOW)
    assert [line.operation.id for line in step.lines] == [waiting.id]
    assert len(settled) == 1


def count_settlings(monkeypatch: pytest.MonkeyPatch) -> list[Account]:
    """The accounts that were settled since, each by a walk along its log."""
    settled: list[Account] = []
    settle = accounts._settle

    def counted(account: Account, *arguments: Any, **options: Any) -> Step:
        settled.append(account)
        return settle(account, *arguments, **options)

    monkeypatch.setattr(accounts, "_settle", counted)
    return settled


def held(place: int) -> Operation:
    """A reservation in flight."""
    return Operation(uuid4(), place, "reserve", 1, "reserved", LATER)
