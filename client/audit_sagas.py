"""What must hold between the services once a saga has ended: they agree how. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from client.audit_account import OPEN, OVERDUE_S
from client.audit_rows import Books, Finding, LeftRow, OperationRow, OrderRow, Promos, RedemptionRow

ORDER_OPEN = ("placed", "reserved", "confirmed")
SPENT, EFFECTIVE = ("captured",), ("multiplied", "credited")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A saga of which two services say different things; both were not read at the same moment."""

    saga: UUID
    finding: Finding


def saga_mismatches(books: Books) -> Iterator[Mismatch]:
    """Orders and redemptions that ended otherwise than their operations."""
    operations = {(each.account_id, each.operation_id): each for each in books.users.operations}
    orders = {(each.account_id, each.order_id) for each in books.orders}
    redemptions = {(each.account_id, each.redemption_id) for each in books.promos.redemptions}
    # An id that a client gave to two accounts, or to operations of two kinds, is no saga of both.
    reservations = {saga: each for saga, each in operations.items() if each.kind in ("reserve", None)}
    effects = {saga: each for saga, each in operations.items() if each.kind in ("multiply", "bonus", None)}
    for order in books.orders:
        yield from _order(order, reservations.get((order.account_id, order.order_id)), books)
    for redemption in books.promos.redemptions:
        yield from _redemption(redemption, effects.get((redemption.account_id, redemption.redemption_id)), books)
    for operation in books.users.operations:
        what, saga = None, (operation.account_id, operation.operation_id)
        if operation.kind == "reserve" and saga not in orders:
            what = f"order of reservation {operation.operation_id}"
        if operation.kind in ("multiply", "bonus") and saga not in redemptions:
            what = f"redemption of {operation.kind} {operation.operation_id}"
        if what:
            yield Mismatch(operation.operation_id, Finding(operation.account_id, what, operation.state, "none"))


def promo_findings(promos: Promos) -> Iterator[Finding]:
    """Uses of codes are those of the redemptions that have not been refused, one for each account."""
    live = [each for each in promos.redemptions if each.state != "refused"]
    uses = Counter(each.code_hash for each in live)
    for code in promos.codes:
        if code.uses != uses[code.code_hash]:
            yield Finding(_code(code.code_hash), "uses", f"{uses[code.code_hash]} (its redemptions)", str(code.uses))
    for code_hash in sorted(uses.keys() - {code.code_hash for code in promos.codes}):
        yield Finding(_code(code_hash), "code of redemptions", "known", "none")
    for (account, code_hash), count in Counter((each.account_id, each.code_hash) for each in live).items():
        if count > 1:
            yield Finding(account, f"redemptions of {_code(code_hash)}", "one", str(count))


def outbox_findings(left: Iterable[LeftRow]) -> Iterator[Finding]:
    """What a service announced gets out, unless the broker is away or nobody is there to publish it."""
    for each in left:
        since = f"{each.messages} messages, the oldest of {each.oldest_at.isoformat(timespec='seconds')}"
        yield Finding(each.service, f"outbox, {OVERDUE_S:.0f} s after the commit", "published", since)


def _code(code_hash: str) -> str:
    """Enough of a code's hash to find its row."""
    return f"code {code_hash[:12]}"


def in_flight(books: Books) -> int:
    """Sagas that have not ended: open orders, claimed redemptions, and operations whose end is on its way."""
    sagas = {each.order_id for each in books.orders if each.state in ORDER_OPEN}
    sagas |= {each.redemption_id for each in books.promos.redemptions if each.state == "claimed"}
    sagas |= {each.operation_id for each in books.users.operations if each.state in OPEN}
    return len(sagas)


def _order(order: OrderRow, operation: OperationRow | None, books: Books) -> Iterator[Mismatch]:
    what = f"reservation of order {order.order_id}, which is {order.state}"
    found = operation.state if operation else "none"
    if operation and operation.kind and operation.size != order.amount:
        sizes = f"{order.amount} coins", f"{operation.size} coins"
        yield Mismatch(order.order_id, Finding(order.account_id, what, *sizes))
    if order.state == "completed" and found != "captured":
        yield Mismatch(order.order_id, Finding(order.account_id, what, "captured", found))
    elif order.state in ("failed", "cancelled") and (found in SPENT or _overdue(operation, books)):
        expected = "released, expired, refused or none"
        yield Mismatch(order.order_id, Finding(order.account_id, what, expected, found))
    elif order.state in ("placed", "reserved") and found in SPENT:
        yield Mismatch(order.order_id, Finding(order.account_id, what, "not captured yet", found))
    elif order.state in ORDER_OPEN and _stranded(operation, order.placed_at, books):
        yield Mismatch(order.order_id, Finding(order.account_id, what, "open, or the order ended", found))


def _redemption(redemption: RedemptionRow, operation: OperationRow | None, books: Books) -> Iterator[Mismatch]:
    saga, account = redemption.redemption_id, redemption.account_id
    what = f"effect of redemption {saga} of {_code(redemption.code_hash)}, which is {redemption.state}"
    found = operation.state if operation else "none"
    if operation and operation.kind and redemption.kind:
        claimed, done = f"{redemption.kind} {redemption.size}", f"{operation.kind} {operation.size}"
        if claimed != done:
            yield Mismatch(saga, Finding(account, what, claimed, done))
    if redemption.state == "redeemed":
        if found not in EFFECTIVE:
            yield Mismatch(saga, Finding(account, what, "multiplied or credited", found))
        elif operation and operation.delta != redemption.added:
            yield Mismatch(saga, Finding(account, what, f"{redemption.added} added", f"{operation.delta} added"))
    elif redemption.state == "refused" and (found in EFFECTIVE or _overdue(operation, books)):
        yield Mismatch(saga, Finding(account, what, "refused or none", found))
    elif redemption.state == "claimed" and _stranded(operation, redemption.claimed_at, books):
        yield Mismatch(saga, Finding(account, what, "waiting, or the redemption ended", found))


def _stranded(operation: OperationRow | None, began_at: datetime, books: Books) -> bool:
    """Whether the saga began long ago and its operation is not open: it should have ended.

    Where the answer was lost it ends within the hour, since its service asks again.
    """
    old = began_at + timedelta(seconds=OVERDUE_S) < books.users.now
    return old and (operation is None or operation.state not in OPEN)


def _overdue(operation: OperationRow | None, books: Books) -> bool:
    """Whether the operation is open although its deadline is long past: its end is not merely on its way."""
    if operation is None or operation.state not in OPEN or operation.deadline is None:
        return False
    return operation.deadline + timedelta(seconds=OVERDUE_S) < books.users.now
