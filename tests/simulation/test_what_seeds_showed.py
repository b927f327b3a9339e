"""What seeds once showed, kept as small as it can be: a seed is another run as soon as anything is drawn otherwise.

The seeds are kept too. Where a rule was wrong, it is among the broken rules of `mutants.py`; docs/evidence.md tells
what each was.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from contracts.commands import CreditAccount, OpenAccount
from contracts.events import CancelRefused, OrderPlaced, PromoClaimed
from contracts.roles import Multiply
from holdfast.delivery.message import Message, internal
from holdfast.delivery.words import Fact
from tests.simulation.kept import MemoryAccounts
from tests.simulation.on_a_database import compared, small
from tests.simulation.plan import FAULTS, Fault, Mode, plan
from tests.simulation.pure import complete, run
from tests.simulation.slot import Slot
from user_service.deadlines import DeadlinePassed
from user_service.handlers import Limits

NO_PURGE: tuple[Fault, ...] = tuple(each for each in FAULTS if each != "purge")
IN_MEMORY: tuple[tuple[int, Mode, tuple[Fault, ...]], ...] = (
    (11, "safety", NO_PURGE),
    (18, "liveness", FAULTS),
    (26, "liveness", FAULTS),
    (965, "safety", FAULTS),
    (1175, "safety", FAULTS),
    (1322, "liveness", NO_PURGE),
    (9284, "liveness", ("crash", "reorder", "purge", "cut", "skew")),
    (101132, "liveness", FAULTS),
)
ON_A_DATABASE = (60, 1494)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def id_of(number: int) -> UUID:
    """An id."""
    return UUID(int=number, version=4)


@pytest.mark.parametrize(("seed", "mode", "faults"), IN_MEMORY, ids=[str(seed) for seed, _, _ in IN_MEMORY])
def test_a_seed_goes_right(seed: int, mode: Mode, faults: tuple[Fault, ...]) -> None:
    assert not run(plan(seed, mode, faults)).violations


@pytest.mark.parametrize("seed", ON_A_DATABASE)
async def test_a_seed_on_a_database_goes_right(seed: int, slot: Slot) -> None:
    assert not (await compared(small(plan(seed)), slot)).violations


def test_refusals_of_a_cancel_that_differ_are_two_messages() -> None:
    confirmed, completed = (
        CancelRefused(order_id=id_of(1), account_id="ada", reason=reason) for reason in ("confirmed", "completed")
    )
    assert confirmed.announcement_id != completed.announcement_id


def told(accounts: MemoryAccounts, fact: Fact, after_s: float = 0.0) -> list[str]:
    """The types of what is announced when this message is handled so many seconds after the start."""
    message, now = internal(fact), NOW + timedelta(seconds=after_s)
    state = complete(accounts.load(None, [message], now))  # type: ignore[arg-type]
    announced = accounts.handle(state, Message(message.id, message.key, fact), now)
    complete(accounts.save(None, state))  # type: ignore[arg-type]
    return [each.fact.type for each in announced]


def test_what_joins_and_is_answered_when_two_deadlines_pass_together_is_told_its_answer() -> None:
    accounts = MemoryAccounts(Limits())
    told(accounts, OpenAccount(account_id="ada"))
    told(accounts, CreditAccount(account_id="ada", credit_id=id_of(1), amount=50))
    told(accounts, OrderPlaced(account_id="ada", order_id=id_of(2), amount=20, hold_s=9.0))
    told(accounts, OrderPlaced(account_id="ada", order_id=id_of(3), amount=5, hold_s=5.0, after=(id_of(9),)))
    doubling = PromoClaimed(
        account_id="ada", redemption_id=id_of(4), effect=Multiply(factor=2), join_s=60.0, after=(id_of(3),)
    )
    assert told(accounts, doubling) == ["operation.waiting"]
    assert told(accounts, DeadlinePassed(account_id="ada"), 10.0) == [
        "coins.refused",
        "coins.expired",
        "coins.multiplied",
    ]
