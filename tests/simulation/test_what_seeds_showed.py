"""What seeds once showed, kept as small as it can be: a seed is another run as soon as anything is drawn otherwise.

The seeds are kept too. Where a rule was wrong, it is among the broken rules of `mutants.py`; docs/evidence.md tells
what each was.
"""

from __future__ import annotations

import pytest
from user_service.account import Account, open_account

from contracts.events import CancelRefused
from tests.simulation.on_a_database import compared, small
from tests.simulation.plan import FAULTS, Fault, Mode, plan
from tests.simulation.pure import run
from tests.simulation.slot import Slot
from tests.unit.user_service.moves import id_of

NO_PURGE: tuple[Fault, ...] = tuple(each for each in FAULTS if each != "purge")
IN_MEMORY: tuple[tuple[int, Mode, tuple[Fault, ...]], ...] = (
    (11, "safety", NO_PURGE),
    (18, "liveness", FAULTS),
    (26, "liveness", FAULTS),
    (1175, "safety", FAULTS),
    (1322, "liveness", NO_PURGE),
    (9284, "liveness", ("crash", "reorder", "purge", "cut", "skew")),
    (101132, "liveness", FAULTS),
)
ON_A_DATABASE = (60, 1494)


@pytest.mark.parametrize(("seed", "mode", "faults"), IN_MEMORY, ids=[str(seed) for seed, _, _ in IN_MEMORY])
def test_a_seed_goes_right(seed: int, mode: Mode, faults: tuple[Fault, ...]) -> None:
    assert not run(plan(seed, mode, faults)).violations


@pytest.mark.parametrize("seed", ON_A_DATABASE)
async def test_a_seed_on_a_database_goes_right(seed: int, slot: Slot) -> None:
    assert not (await compared(small(plan(seed)), slot)).violations


def test_refusals_of_a_cancel_that_differ_are_two_messages() -> None:
    confirmed, completed = (
        CancelRefused(order_id=id_of("a"), account_id="ada", reason=reason) for reason in ("confirmed", "completed")
    )
    assert confirmed.announcement_id != completed.announcement_id


def test_an_account_that_is_opened_again_is_not_touched() -> None:
    opened = open_account(Account("ada")).account
    assert open_account(opened).account is opened
