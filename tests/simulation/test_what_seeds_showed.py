"""What seeds once showed, kept as small as it can be: a seed is another run as soon as anything is drawn otherwise.

Where a rule was wrong, it is among the broken rules of `mutants.py` too; docs/evidence.md tells what each was.
"""

from __future__ import annotations

from contracts.events import CancelRefused
from tests.domain.moves import id_of
from user_service.account import Account, open_account


def test_refusals_of_a_cancel_that_differ_are_two_messages() -> None:
    confirmed, completed = (
        CancelRefused(order_id=id_of("a"), account_id="ada", reason=reason) for reason in ("confirmed", "completed")
    )
    assert confirmed.announcement_id != completed.announcement_id


def test_an_account_that_is_opened_again_is_not_touched() -> None:
    opened = open_account(Account("ada")).account
    assert open_account(opened).account is opened
