"""What must hold between entities once a saga has ended: orders and redemptions agree with their operations. Pure.

Operations on accounts are compared with an order or a redemption only where the order or the promo service asked for
them. Those of others are sagas of services whose books are not read here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from client.audit_oracle import ORACLE
from client.audit_pending import OVERDUE_S, is_overdue, open_ids
from client.audit_rows import (
    OPEN,
    UNANSWERED,
    Books,
    Finding,
    LeftRow,
    OperationRow,
    OrderRow,
    RedemptionRow,
    named,
)

ORDER_OPEN = ("placed", "reserved", "confirmed")
REDEMPTION_OPEN = ("waiting", "claimed")
NO_EFFECT = ("none", "refused", "released", "expired")

TAKES: Mapping[str, tuple[str, ...]] = {
    "placed": ("none",),
    "reserved": UNANSWERED,
    "confirmed": ("reserved",),
    "completed": ("captured",),
    "failed": NO_EFFECT,
    "cancelled": NO_EFFECT,
}
"""How the pieces of an order of a counted item stand, by its state; `reserved` ones that are fulfilled externally have
them while somebody is asked for the goods. Orders of other items take none.
"""

CLAIMS: Mapping[str, tuple[str, ...]] = {
    "waiting": ("none", *UNANSWERED, "reserved"),
    "claimed": ("reserved",),
    "redeemed": ("captured",),
    "refused": NO_EFFECT,
}
"""How the uses of a redemption stand, by its state: the account's own of the code, and one of the code's."""

Found = Mapping[tuple[str, UUID], OperationRow]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A saga of which two tables say different things; they may not have been read at one moment, or one may follow the
    other a little later.
    """

    saga: UUID
    finding: Finding


def saga_mismatches(books: Books) -> Iterator[Mismatch]:
    """Orders and redemptions that stand otherwise than their operations, and operations without either."""
    accounts, stock, uses = (_by_id(each.operations) for each in (books.accounts, books.stock, books.uses))
    orders = {each.order_id: each for each in books.orders}
    redemptions = {each.redemption_id: each for each in books.redemptions}
    for order in books.orders:
        yield from _reservation(order, _asked_by("order", accounts.get((order.account_id, order.order_id))), books)
        yield from _take(order, _asked_by("order", stock.get((order.item or "", order.order_id))))
    for redemption in books.redemptions:
        effect = _asked_by("promo", accounts.get((redemption.account_id, redemption.redemption_id)))
        yield from _effect(redemption, effect, books)
        yield from _claims(redemption, uses)
    yield from _without_saga(books, orders, redemptions)


def use_findings(books: Books) -> Iterator[Finding]:
    """No account has used a code twice, and no code more often than it could be at any time that is known."""
    live = [each for each in books.redemptions if each.state in ("claimed", "redeemed")]
    for (account, code_hash), count in Counter((each.account_id, each.code_hash) for each in live).items():
        if count > 1:
            yield Finding(named("account", account), f"redemptions of {named('code', code_hash)}", "one", str(count))
    most = {each.code_hash: each.uses_max for each in books.codes}
    sizes = _sizes(books)
    for code_hash, count in sorted(Counter(each.code_hash for each in live).items()):
        if code_hash not in most:
            yield Finding(named("code", code_hash), "code of redemptions", "known", "none")
        elif (uses_max := most[code_hash]) is not None and count > max(uses_max, sizes.get(code_hash, 0)):
            yield Finding(named("code", code_hash), "uses", f"at most {uses_max}", str(count))


def outbox_findings(left: Iterable[LeftRow]) -> Iterator[Finding]:
    """What a service announced gets out, unless the broker is away or nobody is there to publish it."""
    for each in left:
        since = f"{each.messages} messages, the oldest of {each.oldest_at.isoformat(timespec='seconds')}"
        yield Finding(each.service, f"outbox, {OVERDUE_S:.0f} s after the commit", "published", since)


def in_flight(books: Books) -> int:
    """Sagas that have not ended: open orders and redemptions, and operations whose end is on its way."""
    sagas = {each.order_id for each in books.orders if each.state in ORDER_OPEN}
    sagas |= {each.redemption_id for each in books.redemptions if each.state in REDEMPTION_OPEN}
    return len(sagas.union(*(open_ids(each) for each in (books.accounts, books.stock, books.uses))))


def _by_id(operations: Iterable[OperationRow]) -> Found:
    return {(each.key, each.operation_id): each for each in operations}


def _asked_by(exchange: str, operation: OperationRow | None) -> OperationRow | None:
    """The operation, if it is that service's: an id that a client gave to two sagas is no operation of both."""
    return operation if operation and (operation.kind is None or operation.asked_by == exchange) else None


def _sizes(books: Books) -> Mapping[str, int]:
    """How many uses each code could have at most, as its claims say."""
    sizes: dict[str, int] = defaultdict(int)
    for each in books.uses.operations:
        sizes[each.key] = max(sizes[each.key], each.size or 0)
    return sizes


def _reservation(order: OrderRow, operation: OperationRow | None, books: Books) -> Iterator[Mismatch]:
    what, found = f"reservation of order {order.order_id}, which is {order.state}", _state(operation)

    def mismatch(expected: str, instead: str = found) -> Mismatch:
        return Mismatch(order.order_id, Finding(named("account", order.account_id), what, expected, instead))

    if operation and operation.kind and (operation.kind, operation.size) != ("reserve", order.amount):
        yield mismatch(f"reserve {order.amount}", f"{operation.kind} {operation.size}")
    if order.state == "completed" and found != "captured":
        yield mismatch("captured")
    elif order.state in ("failed", "cancelled") and (found == "captured" or _late(operation, books)):
        yield mismatch("released, expired, refused or none")
    elif order.state in ("placed", "reserved") and found == "captured":
        yield mismatch("not captured yet")
    elif order.state in ORDER_OPEN and _stranded(operation, order.placed_at, books):
        yield mismatch("open, or the order ended")


def _take(order: OrderRow, operation: OperationRow | None) -> Iterator[Mismatch]:
    expected = TAKES.get(order.state, ()) if order.counted else ("none",)
    if order.counted and (order.fulfilment, order.state, order.taken) == ("external", "reserved", True):
        expected = ("reserved",)
    what = f"take of order {order.order_id}, which is {order.state}"
    entity, found = named("item", order.item or "none"), _state(operation)
    if found not in expected:
        yield Mismatch(order.order_id, Finding(entity, what, " or ".join(expected), found))
    if operation and operation.kind and (operation.kind, operation.size) != ("take", order.quantity):
        wanted, instead = f"take {order.quantity}", f"{operation.kind} {operation.size}"
        yield Mismatch(order.order_id, Finding(entity, what, wanted, instead))


def _effect(redemption: RedemptionRow, operation: OperationRow | None, books: Books) -> Iterator[Mismatch]:
    saga, found = redemption.redemption_id, _state(operation)
    what = f"effect of redemption {saga} of {named('code', redemption.code_hash)}, which is {redemption.state}"
    has_effect = operation is not None and found == getattr(ORACLE.get(operation.kind or ""), "done", None)

    def mismatch(expected: str, instead: str = found) -> Mismatch:
        return Mismatch(saga, Finding(named("account", redemption.account_id), what, expected, instead))

    if operation and operation.kind and redemption.kind:
        claimed, done = f"{redemption.kind} {redemption.size}", f"{operation.kind} {operation.size}"
        if claimed != done:
            yield mismatch(claimed, done)
    if redemption.state == "redeemed":
        if not has_effect:
            yield mismatch("multiplied or credited")
        elif operation and operation.delta != redemption.added:
            yield mismatch(f"{redemption.added} added", f"{operation.delta} added")
    elif redemption.state == "refused" and (has_effect or _late(operation, books)):
        yield mismatch("refused or none")
    elif redemption.state == "waiting" and found not in ("none", "refused"):
        yield mismatch("none, since no use of the code is claimed")
    elif redemption.state == "claimed" and _stranded(operation, redemption.claimed_at, books):
        yield mismatch("waiting, or the redemption ended")


def _claims(redemption: RedemptionRow, uses: Found) -> Iterator[Mismatch]:
    saga, code_hash, expected = redemption.redemption_id, redemption.code_hash, CLAIMS.get(redemption.state, ())
    what = f"use of redemption {saga}, which is {redemption.state}"
    states = []
    for key in (code_hash, f"{code_hash}/{redemption.account_id}"):
        operation = uses.get((key, saga))
        states.append(found := _state(operation))
        if found not in expected:
            yield Mismatch(saga, Finding(named("code", key), what, " or ".join(expected), found))
        if operation and operation.kind and key != code_hash and (operation.kind, operation.size) != ("claim", 1):
            instead = f"{operation.kind} {operation.size}"
            yield Mismatch(saga, Finding(named("code", key), what, "claim 1", instead))
    if redemption.state == "waiting" and not set(states) & set(UNANSWERED):
        expectation = "a use that waits, or the redemption claimed or refused"
        yield Mismatch(saga, Finding(named("code", code_hash), what, expectation, " and ".join(states)))


def _without_saga(
    books: Books, orders: Mapping[UUID, OrderRow], redemptions: Mapping[UUID, RedemptionRow]
) -> Iterator[Mismatch]:
    """Operations that the order or the promo service asked for, or that only they make, for no order or redemption."""

    def mismatch(of: str, operation: OperationRow, saga: str) -> Mismatch:
        what = f"{saga} of {operation}"
        return Mismatch(operation.operation_id, Finding(named(of, operation.key), what, "known", "none"))

    for each in books.accounts.operations:
        order, redemption = orders.get(each.operation_id), redemptions.get(each.operation_id)
        if each.kind and each.asked_by == "order" and (order is None or order.account_id != each.key):
            yield mismatch("account", each, "order")
        if each.kind and each.asked_by == "promo" and (redemption is None or redemption.account_id != each.key):
            yield mismatch("account", each, "redemption")
    for each in books.stock.operations:
        order = orders.get(each.operation_id)
        if each.kind == "take" and (order is None or order.item != each.key):
            yield mismatch("item", each, "order")
    for each in books.uses.operations:
        redemption = redemptions.get(each.operation_id)
        code_hash, _, account = each.key.partition("/")
        is_its = redemption and redemption.code_hash == code_hash and account in ("", redemption.account_id)
        if each.kind and not is_its:
            yield mismatch("code", each, "redemption")


def _state(operation: OperationRow | None) -> str:
    return operation.state if operation else "none"


def _stranded(operation: OperationRow | None, began_at: datetime, books: Books) -> bool:
    """Whether the saga began long ago and its operation is not open: it should have ended.

    Where the answer was lost it ends within the hour, since its service asks again.
    """
    old = began_at + timedelta(seconds=OVERDUE_S) < books.accounts.now
    return old and (operation is None or operation.state not in OPEN)


def _late(operation: OperationRow | None, books: Books) -> bool:
    return operation is not None and is_overdue(operation, books.accounts.now)
