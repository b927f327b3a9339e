"""For random histories, every answer given is that of one serial program, however the open operations may still end.

`python -m tests.domain.test_brute_force 4711` shows one history and what is announced in it.
"""

from __future__ import annotations

import sys

import pytest

from tests.domain.histories import history, limits_of
from tests.domain.moves import describe_account, describe_all, play
from tests.domain.witness import Broken, Witness
from user_service import account as rules

BLOCKS = 40
BLOCK = 2_600
HISTORIES_MIN = 100_000

checked: dict[int, int] = {}
"""Histories checked, by block."""


def check(seed: int) -> Witness:
    """Play the history of this seed. Raises `Broken` with the seed and the table up to the move that broke."""
    witness = Witness(limits_of(seed))
    moves = history(seed)
    done = 0
    try:
        for done, move in enumerate(moves):  # noqa: B007
            witness.play(move)
        witness.require_settled()
    except Exception as error:
        table = "\n".join(map(str, moves[: done + 1]))
        raise Broken(f"seed {seed}: {type(error).__name__}: {error}\n{table}") from error
    return witness


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_answer_is_that_of_one_serial_program_in_every_world(block: int) -> None:
    """Also: nothing waits once all is settled, no coin is lost, the ledger replays, and no answer is taken back."""
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        check(seed)
    checked[block] = BLOCK


def test_at_least_100_000_histories_are_checked(request: pytest.FixtureRequest) -> None:
    """Counts those of this run; where only some blocks were asked for, the ones that a whole run checks."""
    print(f"{sum(checked.values())} histories checked")
    assert BLOCKS * BLOCK >= HISTORIES_MIN
    if len(checked) == BLOCKS:
        assert sum(checked.values()) >= HISTORIES_MIN


def test_the_histories_meet_what_they_are_for() -> None:
    """A generator that never makes anything wait would prove nothing: each event happens in many of the histories."""
    met: dict[str, int] = {}
    for seed in range(2_000):
        witness = check(seed)
        told = {"waited": witness.promised, "withdrawn": witness.withdrawn, "turned away": witness.turned_away}
        told |= {f"answered {answer}": {} for answer in witness.answers.values()}
        told |= {f"{end} in the end": {} for end in witness.ends.values()}
        for what in (what for what, names in told.items() if names or " " in what):
            met[what] = met.get(what, 0) + 1
    wanted = ("waited", "withdrawn", "turned away", "answered refused", "captured in the end", "undone in the end")
    assert {what: met.get(what, 0) >= 200 for what in wanted} == dict.fromkeys(wanted, True), met


def show(seed: int) -> None:
    """Print the history as a table, with what the account announces."""
    account, limits = rules.Account("ada"), limits_of(seed)
    for move in history(seed):
        try:
            step = play(account, move, limits)
            account, announced = step.account, describe_all(step.facts)
        except rules.Conflict:
            announced = "conflict"
        print(f"{move!s:<40} -> {announced}\n{'':<8}{describe_account(account)}")


if __name__ == "__main__":
    show(int(sys.argv[1]))
