"""What must be true of every run. Each check has the name by which reports call it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from client.audit_account import INSUFFICIENT, account_findings, bounds, is_certain
from client.audit_rows import Books, OperationRow
from client.audit_sagas import in_flight, promo_findings, saga_mismatches
from contracts.base import Fact
from contracts.events import CoinsMultiplied, CoinsRefused, OperationWaiting, OrderCancelled, OrderFailed
from tests.simulation.asked import ended_otherwise, lasts_s, not_as_asked, refused_without_reason, unanswered_cancels
from tests.simulation.history import History, Told
from tests.simulation.linear import Done, serial_order
from tests.simulation.node import Event
from tests.simulation.plan import Plan, Saga
from tests.simulation.tables import UserTables, hashed
from user_service.account import Account

WITHIN_S = 10.0
"""How long after its deadline, and after the faults, a saga may take to end."""
ASKED_AGAIN_S = 120.0
"""How much longer, where what was thrown away is asked for again."""


class Violation(Exception):
    """Something that one program with one database would not have done."""

    def __init__(self, check: str, what: str) -> None:
        super().__init__(f"{check}: {what}")
        self.check, self.what = check, what

    def __reduce__(self) -> tuple[type[Violation], tuple[str, str]]:
        """So that other processes can tell of it."""
        return Violation, (self.check, self.what)


class Watch:
    """Looks at the accounts after every commit of the user service. Raises `Violation`."""

    def __init__(self, users: UserTables, plan: Plan) -> None:
        self.history = History()
        self._lasts_s = {saga.id: lasts_s(plan, saga) for saga in plan.sagas}
        self._users = users
        self._seen: dict[str, Account] = {}
        self._read: dict[str, int] = {}
        self._coins: dict[str, int] = {}
        self._over: set[UUID] = set()

    def committed(self, facts: Iterable[Fact], now: datetime) -> None:
        """The user service has committed at this time of its clock."""
        self._over.update(each.order_id for each in facts if isinstance(each, OrderFailed | OrderCancelled))
        for account in self._users.accounts.values():
            if self._seen.get(account.id) is not account:
                self._seen[account.id] = account
                self._conserved(account)
                self._covered(account)
                self._in_time(account, now)
                self._let_go(account)

    def _conserved(self, account: Account) -> None:
        """Each ledger line begins where the last one ended, and the balance is where the last one ends."""
        lines = self._users.ledger.get(account.id, [])
        coins, read = self._coins.get(account.id, 0), self._read.get(account.id, 0)
        for number in range(read, len(lines)):
            line = lines[number]
            if line.seq != number + 1 or line.balance_before != coins:
                raise Violation("conservation", f"{account.id} had {coins} coins before {line}")
            coins = line.balance_after
            if coins < 0:
                raise Violation("never negative", f"{account.id} has {coins} coins behind {line}")
        self._coins[account.id], self._read[account.id] = coins, len(lines)
        if account.balance != coins or account.lines != len(lines):
            raise Violation("conservation", f"{account.id}: {len(lines)} ledger lines come to {coins}, not {account}")

    def _covered(self, account: Account) -> None:
        """Whatever becomes of the open operations, no reservation is without its coins."""
        low = account.balance
        for operation in account.log:
            match operation.state:
                case "reserved":
                    low -= operation.size
                case "named":
                    low = 0
                case "waiting":
                    low = 0 if operation.kind == "reserve" else low
                case _:
                    low += operation.delta
            if low < 0:
                raise Violation("never negative", f"{account.id} may have {low} coins behind {operation}")

    def _let_go(self, account: Account) -> None:
        """An order that has failed or was cancelled asks for nothing and holds nothing, whichever came first."""
        for operation in account.log:
            if operation.id in self._over and operation.state in ("waiting", "reserved"):
                raise Violation("ended orders let go", f"{operation}")

    def _in_time(self, account: Account, now: datetime) -> None:
        """Nothing is open longer than it was promised, nor than its client said; nothing waits for what is certain."""
        low, high = account.balance, float(account.balance)
        for operation in account.log:
            known = cast(OperationRow, operation)
            if operation.state in ("waiting", "reserved"):
                promise = self.history.told.get(operation.id, {}).get(f"operation.waiting {operation.kind}")
                until = promise.fact.deadline if promise and isinstance(promise.fact, OperationWaiting) else None
                last = self.history.taken[operation.id] + timedelta(seconds=self._lasts_s[operation.id])
                if (min(until or last, last) if operation.state == "waiting" else last) < now:
                    raise Violation("bounded wait", f"{operation} at {now}, was promised {until}, may until {last}")
            if operation.state == "waiting" and is_certain(known, low, high):
                raise Violation("bounded wait", f"{operation} waits, and is certain on {low} to {high} coins")
            low, high = bounds(known, low, high)


@dataclass(frozen=True, slots=True)
class Left:
    """What a run leaves in the services. `stock`: of each item. `parked`: dead letters with their reasons. `twice`:
    messages that were handled again although the inbox knew them. `said`: the announcements of all that was committed,
    as far as the services remember them.
    """

    books: Books
    stock: Mapping[str, int]
    parked: Sequence[str]
    twice: Sequence[str]
    said: Sequence[Event] = ()


def judge(plan: Plan, history: History, left: Left) -> list[Violation]:
    """All that is wrong at the end of a run."""
    return list(_violations(plan, history, left))


def _violations(plan: Plan, history: History, left: Left) -> Iterator[Violation]:
    books = left.books
    yield from (Violation("no healthy dead letter", each) for each in left.parked)
    yield from (Violation("exactly once", each) for each in left.twice)
    for event in left.said:
        if event.id not in history.out:
            yield Violation("announcements get out", f"{event.fact!r} was committed, and the broker never had it")
    yield from _goods(plan, left)
    for differing in history.differing:
        yield Violation("one answer", differing)
    yield from (Violation("audit of accounts", str(each)) for each in account_findings(books.users))
    yield from (Violation("audit of codes", str(each)) for each in promo_findings(books.promos))
    yield from (Violation("agreement", str(each.finding)) for each in saga_mismatches(books))
    operations = {each.operation_id: each for each in books.users.operations}
    yield from _answers(history, operations)
    yield from _order(plan, history, books, operations)
    yield from (Violation("as asked", each) for each in not_as_asked(plan, history, books))
    yield from (Violation("refused for a reason", each) for each in refused_without_reason(plan, history))
    yield from (Violation("cancels are answered", each) for each in unanswered_cancels(plan, history))
    yield from (Violation("told as kept", each) for each in ended_otherwise(history, books))
    yield from _ends(plan, history, books)
    yield from _serial(plan, history, books)


def _goods(plan: Plan, left: Left) -> Iterator[Violation]:
    """Goods are with the service or with whoever bought them, and no code was used more often than it may be."""
    states = {each.order_id: each.state for each in left.books.orders}
    for item in plan.goods:
        orders = [saga for saga in plan.sagas if saga.of == item.name and not item.external]
        sold = sum(saga.size for saga in orders if states.get(saga.id) in ("confirmed", "completed"))
        if left.stock[item.name] != item.stock - sold:
            yield Violation("goods conserved", f"{item} has {left.stock[item.name]} left, {sold} were sold")
    for code, uses in ((each.code_hash, each.uses) for each in left.books.promos.codes):
        most = next((each.uses_max for each in plan.promotions if hashed(each.code) == code), None)
        if most is not None and uses > most:
            yield Violation("limits of codes", f"{code} was used {uses} times of {most}")


def _answers(history: History, operations: dict[UUID, OperationRow]) -> Iterator[Violation]:
    """What was announced of an operation is what the user service knows of it."""
    allowed = {
        "coins.credited": ("credited",),
        "coins.reserved": ("reserved", "captured", "released", "expired"),
        "coins.captured": ("captured",),
        "coins.released": ("released",),
        "coins.expired": ("expired",),
        "coins.multiplied": ("multiplied",),
        "coins.refused": ("refused",),
    }
    for saga, told in history.told.items():
        operation = operations.get(saga)
        for each in told.values():
            states = allowed.get(each.fact.type)
            if states and (operation is None or operation.state not in states):
                yield Violation("answers as kept", f"{each.fact!r}, but kept is {operation}")
            if isinstance(each.fact, CoinsMultiplied) and operation and each.fact.added != operation.delta:
                yield Violation("answers as kept", f"{each.fact!r}, but kept is {operation}")


def _order(plan: Plan, history: History, books: Books, operations: dict[UUID, OperationRow]) -> Iterator[Violation]:
    """What was answered before another was sent stands before it, and so does what it names in `after`."""
    lined = {line.operation_id: line.seq for line in books.users.ledger}
    by_number = {saga.number: saga for saga in plan.sagas}
    by_account: dict[str, list[Saga]] = {}
    for saga in plan.sagas:
        if saga.id in lined and saga.id in history.sent:
            by_account.setdefault(saga.account, []).append(saga)
    for sagas in by_account.values():
        ended = [(_answered_at(history, saga), lined[saga.id], saga.number) for saga in sagas]
        for later in sagas:
            sent, line = history.sent[later.id], lined[later.id]
            for answered_at, its_line, number in ended:
                if answered_at < sent and its_line > line:
                    yield Violation("real-time order", f"saga {number} ended before {later.number} was sent")
            for number in later.after:
                named = by_number.get(number)
                if named and lined.get(named.id, 0) > line and _keeps_its_place(plan, history, named, later):
                    yield Violation("after", f"saga {later.number} named {named.number}, and stands before it")


def _keeps_its_place(plan: Plan, history: History, named: Saga, by: Saga) -> bool:
    """Whether the named one was sent before, and arrived before its place, kept from its first naming, lapsed."""
    if history.sent.get(named.id, float("inf")) >= history.sent[by.id]:
        return False
    naming = [saga.id for saga in plan.sagas if named.number in saga.after]
    named_at = min(history.taken[each] for each in naming if each in history.taken)
    return history.taken[named.id] < named_at + timedelta(seconds=plan.named_s)


def _answered_at(history: History, saga: Saga) -> float:
    answer = _answer(history, saga)
    return answer.at if answer else float("inf")


def _answer(history: History, saga: Saga) -> Told | None:
    told = history.told.get(saga.id, {})
    names = {
        "credit": ("coins.credited credit", "coins.refused credit"),
        "buy": ("coins.reserved", "coins.refused reserve"),
        "redeem": ("coins.multiplied", "coins.credited bonus", "coins.refused multiply", "coins.refused bonus"),
    }
    return next((told[name] for name in names[saga.kind] if name in told), None)


def _ends(plan: Plan, history: History, books: Books) -> Iterator[Violation]:
    """Every saga that was begun has ended, its client knows how, and in its own time once faults have stopped."""
    count = in_flight(books)
    if count:
        yield Violation("every saga ends", f"{count} have not")
    grace_s = WITHIN_S + (ASKED_AGAIN_S if "purge" in plan.faults else 0.0)
    for saga in plan.sagas:
        if saga.id not in history.sent:
            continue
        ended = history.ended.get(saga.id)
        if ended is None and plan.mode == "safety" and "purge" in plan.faults:
            continue  # its command may be gone, and its client does not send it again
        if ended is None:
            yield Violation("every saga ends", f"the client of saga {saga.number} never heard the end of it")
        elif ended > max(plan.faulty_until, history.sent[saga.id]) + (lasts_s(plan, saga) + grace_s) * 1.02:
            yield Violation("every saga ends", f"saga {saga.number} ended {ended:.1f} s after the start, which is late")


def _serial(plan: Plan, history: History, books: Books) -> Iterator[Violation]:
    """Some serial order explains all the answers of an account."""
    balances = {each.account_id: each.balance for each in books.users.accounts}
    for account, balance in balances.items():
        sagas = [saga for saga in plan.sagas if saga.account == account]
        done = [each for saga in sagas if (each := _done(history, saga))]
        history.searched += 1
        if serial_order(done, balance) is None:
            yield Violation("serial order", f"no order of {done} ends at {balance} coins")


def _done(history: History, saga: Saga) -> Done | None:
    """The saga's operation as its client saw it; None if it had no effect for a reason other than its coins."""
    answer = _answer(history, saga)
    if answer is None or saga.id not in history.sent:
        return None
    fact = answer.fact
    at = (history.sent[saga.id], answer.at)
    match fact:
        case CoinsRefused(kind="reserve", reason=reason) if reason == INSUFFICIENT:
            return Done(*at, "reserve", history.amount(saga.id), 0, refused=True)
        case CoinsRefused():
            return None
        case CoinsMultiplied(factor=factor, added=added):
            return Done(*at, "multiply", factor, added)
        case _:
            amount: int = fact.amount  # type: ignore[attr-defined]
            kind = "reserve" if saga.kind == "buy" else "bonus" if saga.kind == "redeem" else "credit"
            captured = "coins.captured" in history.told[saga.id]
            return Done(*at, kind, amount, -amount if captured else 0 if kind == "reserve" else amount)  # type: ignore[arg-type]
