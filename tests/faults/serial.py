"""Whether what the accounts' owners were told can be: that it is what they asked for, in an order that explains it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from client.audit_oracle import ORACLE
from client.audit_rows import Books
from tests.faults.saga import Asked, Ending
from tests.simulation.linear import Done, serial_order

Begun = Mapping[UUID, Asked]
Told = Mapping[UUID, Ending]

SEARCHED_MAX = 16
"""An account with more operations is not searched for a serial order: that could take a second."""
RESERVED = ("out_of_stock", "reservation_expired")
"""Why an order fails whose coins were reserved, and only then."""


def contradictions(asked: Begun, told: Told, books: Books) -> list[str]:
    """All that is wrong with what was told, once every saga has ended."""
    return [
        *not_as_asked(asked, told, books),
        *out_of_order(asked, told, books),
        *unexplained(asked, told, {each.key: each.state for each in books.accounts.entities}),
    ]


def not_as_asked(asked: Begun, told: Told, books: Books) -> Iterator[str]:
    """Sagas that had another effect, or led to another operation, than was asked for."""
    kept = {each.operation_id: (each.kind, each.size) for each in books.accounts.operations if each.kind}
    for saga, ask in asked.items():
        if kept.get(saga, (ask.kind, ask.size)) != (ask.kind, ask.size):
            yield f"saga {saga}: asked {ask}, kept {kept[saga]}"
        ending = told.get(saga)
        if ending and ending.state in ("credited", "completed", "redeemed") and ask.kind != "multiply":
            wanted = -ask.size if ask.kind == "reserve" else ask.size
            if ending.added != wanted:
                yield f"saga {saga}: asked {ask}, told {ending}"


def out_of_order(asked: Begun, told: Told, books: Books) -> Iterator[str]:
    """Sagas that stand in the ledger before one that ended before they were sent, or before one that they named."""
    place = {line.operation_id: line.seq for line in books.accounts.ledger}
    for sagas in _by_account(asked).values():
        stand = [saga for saga in sagas if saga in place and saga in told and _done(asked[saga], told[saga])]
        for later in (saga for saga in sagas if saga in place):
            for earlier in stand:
                if place[earlier] <= place[later]:
                    continue
                if told[earlier].told < asked[later].sent:
                    yield f"saga {later} was sent after {earlier} had ended, and stands before it"
                if earlier in asked[later].after:
                    yield f"saga {later} named {earlier}, and stands before it"


def unexplained(asked: Begun, told: Told, balances: Mapping[str, int]) -> Iterator[str]:
    """Accounts whose operations, in whatever order, one program doing one at a time would have answered otherwise."""
    for account, history in histories(asked, told).items():
        if serial_order(history, balances.get(account, 0)) is None:
            yield f"{account}: no order of {history} ends at {balances.get(account)} coins"


def histories(asked: Begun, told: Told) -> dict[str, list[Done]]:
    """What each account's owner knows of its operations, where all of them have ended and are few enough."""
    found = {}
    for account, sagas in _by_account(asked).items():
        if all(saga in told for saga in sagas):
            done = [each for saga in sagas if (each := _done(asked[saga], told[saga]))]
            if len(done) <= SEARCHED_MAX:
                found[account] = done
    return found


def _by_account(asked: Begun) -> Mapping[str, Sequence[UUID]]:
    found: dict[str, list[UUID]] = defaultdict(list)
    for saga, ask in asked.items():
        found[ask.account].append(saga)
    return found


def _done(asked: Asked, ending: Ending) -> Done | None:
    """The operation that the account has surely answered; None if it may never have come there."""
    at = (asked.sent, ending.told)
    if ending.state in ("credited", "completed", "redeemed"):
        # Coins that come are the same to an account, whatever brings them.
        return Done(*at, "credit" if asked.kind == "bonus" else asked.kind, asked.size, ending.added)
    if ending.state == "failed" and ending.reason == ORACLE["reserve"].refusal:
        return Done(*at, "reserve", asked.size, 0, refused=True)
    return Done(*at, "reserve", asked.size, 0) if ending.reason in RESERVED else None
