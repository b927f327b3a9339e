"""What must hold within one account: its ledger is what a program doing one operation at a time writes. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from math import inf
from uuid import UUID

from client.audit_rows import AccountRow, Finding, LineRow, OperationRow, Users

OPEN = ("named", "waiting", "reserved")
INSUFFICIENT = "insufficient_coins"

WITHDRAWN: Mapping[str, frozenset[str]] = {
    "reserve": frozenset({"cancelled", "order_failed", "wait_deadline_passed"}),
    "multiply": frozenset({"promo_refused", "wait_deadline_passed"}),
}
"""Why an operation that took its place in the log may be refused though its coins suffice: of the reasons of
`coins.refused` those that end a wait. The others keep it out of the log, and credits and bonuses never wait.
"""

OVERDUE_S = 60.0
"""How long after its deadline an operation may be open, and how long a saga may be open while its operation is not."""

ByAccount = Mapping[str, Sequence[LineRow]]


def account_findings(users: Users) -> Iterator[Finding]:
    """What is wrong in the user service's database by itself."""
    lines: dict[str, list[LineRow]] = defaultdict(list)
    operations: dict[str, list[OperationRow]] = defaultdict(list)
    for line in users.ledger:
        lines[line.account_id].append(line)
    for operation in users.operations:
        operations[operation.account_id].append(operation)
    accounts = {account.account_id: account for account in users.accounts}
    for account_id in sorted(accounts.keys() | lines.keys() | operations.keys()):
        account = accounts.get(account_id, AccountRow(account_id, 0, 0))
        own_lines = sorted(lines.get(account_id, ()), key=lambda line: line.seq)
        own_operations = operations.get(account_id, ())
        yield from replay(account, own_lines)
        yield from _operations_match(account_id, own_lines, own_operations)
        pending = sorted((each for each in own_operations if each.pending), key=lambda each: each.place)
        yield from pending_findings(account, pending, users.now)
    yield from _conserved(users)


def replay(account: AccountRow, lines: Sequence[LineRow]) -> Iterator[Finding]:
    """Do the account's operations again, one at a time, and compare each answer and balance with the ledger's."""
    balance, of = 0, account.account_id
    for number, line in enumerate(lines, start=1):
        if line.seq != number:
            yield Finding(of, "ledger line's number", str(number), str(line.seq))
        if line.balance_before != balance:
            yield Finding(of, f"balance before line {line.seq}", str(balance), str(line.balance_before))
        states, delta = one_at_a_time(line, balance)
        if line.state not in states:
            wanted = " or ".join(states)
            found = f"{line.state} ({line.reason})" if line.reason else line.state
            yield Finding(of, f"answer of {_name(line)} on {balance} coins", wanted, found)
        elif line.state == "refused" and line.reason not in (INSUFFICIENT, *WITHDRAWN.get(line.kind, ())):
            yield Finding(of, f"reason why {_name(line)} was refused", INSUFFICIENT, str(line.reason))
        if line.balance_after != balance + delta:
            yield Finding(of, f"balance after {_name(line)}", str(balance + delta), str(line.balance_after))
        if line.balance_after < 0:
            yield Finding(of, f"balance after {_name(line)}", "at least 0", str(line.balance_after))
        balance = line.balance_after
    if account.balance != balance:
        yield Finding(of, "balance", f"{balance} (the ledger's last)", str(account.balance))
    if account.lines != len(lines):
        yield Finding(of, "ledger lines", str(account.lines), str(len(lines)))


def one_at_a_time(line: LineRow, balance: int) -> tuple[tuple[str, ...], int]:
    """The answers that a program doing this operation on `balance` coins can give, and the coins added by this one.

    An operation that was withdrawn, or waited longer than it would, is refused with no effect on any balance. A
    refusal for any other reason is right only where the coins are too few.
    """
    states: tuple[str, ...]
    withdrawn = line.state == "refused" and line.reason in WITHDRAWN.get(line.kind, ())
    match line.kind:
        case "credit" | "bonus":
            states, delta = ("credited",), line.size
        case "multiply":
            states, delta = ("multiplied",), balance * (line.size - 1)
        case "reserve" if balance >= line.size:
            states, delta = ("captured", "released", "expired"), -line.size if line.state == "captured" else 0
        case "reserve":
            states, delta = ("refused",), 0
        case _:
            states, delta = ("an operation of a known kind",), 0
    return (("refused",), 0) if withdrawn else (states, delta)


def _operations_match(
    account_id: str, lines: Sequence[LineRow], operations: Sequence[OperationRow]
) -> Iterator[Finding]:
    """Each operation has at most one line, the one that says the same of it, and the lines are in arrival order."""
    of_operation: dict[UUID, LineRow] = {}
    for line in lines:
        if line.operation_id in of_operation:
            yield Finding(account_id, f"ledger lines of {_name(line)}", "one", "more")
        of_operation[line.operation_id] = line
    known = {operation.operation_id: operation for operation in operations}
    last_place = 0
    for line in lines:
        operation = known.get(line.operation_id)
        if operation is None:
            yield Finding(account_id, f"operation of ledger line {line.seq}", str(line.operation_id), "none")
            continue
        if operation.place <= last_place:
            yield Finding(account_id, f"place of {_name(line)}", f"more than {last_place}", str(operation.place))
        last_place = operation.place
        wanted = (line.kind, line.size, line.state, line.balance_after - line.balance_before, False)
        found = (operation.kind, operation.size, operation.state, operation.delta, operation.pending)
        if wanted != found:
            yield Finding(account_id, f"operation {line.operation_id}", _said(wanted), _said(found))
    for operation in operations:
        if operation.operation_id not in of_operation and not operation.pending and operation.state != "refused":
            yield Finding(account_id, f"ledger line of operation {operation.operation_id}", operation.state, "none")


def pending_findings(account: AccountRow, pending: Sequence[OperationRow], now: datetime) -> Iterator[Finding]:
    """The log begins with an open operation, whatever becomes of it no reservation is without its coins, and nothing
    waits whose answer is certain, or is open without a deadline or long after it.
    """
    of = account.account_id
    if pending and pending[0].state not in OPEN:
        yield Finding(of, "first pending operation", "open", pending[0].state)
    if len({operation.place for operation in pending}) != len(pending):
        yield Finding(of, "places of pending operations", "all different", "one twice")
    low, high = account.balance, float(account.balance)
    for operation in pending:
        if operation.state == "waiting" and is_certain(operation, low, high):
            yield Finding(
                of, f"answer of operation {operation.operation_id}", f"given, on {low} to {high} coins", "none"
            )
        if operation.state in OPEN and operation.deadline is None:
            # Nothing would ever end it, and it would hold up all that waits behind it.
            yield Finding(of, f"deadline of operation {operation.operation_id}, {operation.state}", "one", "none")
        if operation.deadline and operation.deadline + timedelta(seconds=OVERDUE_S) < now:
            over = f"over since its deadline, {operation.deadline.isoformat()}"
            yield Finding(of, f"operation {operation.operation_id}", over, operation.state)
        low, high = bounds(operation, low, high)
        if low < 0:
            yield Finding(of, f"coins surely left behind operation {operation.operation_id}", "at least 0", str(low))
            low = 0


def is_certain(operation: OperationRow, low: int, high: float) -> bool:
    """Whether the waiting operation's answer is the same on every balance from `low` to `high`."""
    if operation.kind == "reserve":
        return low >= operation.size or high < operation.size
    return operation.kind != "multiply" or low == high


def bounds(operation: OperationRow, low: int, high: float) -> tuple[int, float]:
    """The least and the most coins behind a pending operation, over every way in which it may end."""
    match operation.state:
        case "named":
            return 0, inf
        case "reserved":
            return low - operation.size, high
        case "waiting" if operation.kind == "reserve":
            return 0, high
        case "waiting":
            return low, high * operation.size if operation.kind == "multiply" else high + operation.size
        case _:
            return low + operation.delta, high + operation.delta


def _conserved(users: Users) -> Iterator[Finding]:
    held = sum(account.balance for account in users.accounts)
    moved = sum(line.balance_after - line.balance_before for line in users.ledger)
    if held != moved:
        yield Finding("all accounts", "sum of balances", f"{moved} (the ledger's sum)", str(held))


def _name(line: LineRow) -> str:
    return f"{line.kind} {line.size} (line {line.seq}, operation {line.operation_id})"


def _said(values: tuple[object, ...]) -> str:
    return "kind {}, size {}, state {}, delta {}, pending {}".format(*values)
