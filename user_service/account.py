"""One account as a log of pending operations. Pure: no I/O, no clock, no randomness.

The rule: *an operation is answered as soon as its answer is the same in every way the open ones may still end; until
then it waits.* Those ways are bounded by an interval of balances, which is walked along the log from the front.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from uuid import UUID

from contracts.base import COINS_MAX, Fact
from contracts.events import WAITS_FOR_MAX, AccountOpened, CoinsRefused, OperationKind, OperationWaiting
from user_service.operation import Interval, Operation, answer, answer_fact, span

_NEVER = datetime.max.replace(tzinfo=UTC)


class Conflict(Exception):
    """A message that contradicts what the account already knows; the text says how. It has no effect."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one account may hold: `pending` operations, and `named_s` seconds for which a named one keeps its place."""

    pending: int = 1000
    named_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the ledger: an operation leaving the log, in the account's order."""

    seq: int
    operation: Operation
    balance_before: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class Account:
    """`opened`: False until it is opened; till then it refuses what arrives. `balance`: coins before the first
    operation of `log`. `places` and `lines`: how many places of the log and lines of the ledger were ever given out.
    `log`: from the first open operation on. `past`: operations that left the log, as far as they were loaded.
    """

    id: str
    opened: bool = False
    balance: int = 0
    places: int = 0
    lines: int = 0
    log: tuple[Operation, ...] = ()
    past: Mapping[UUID, Operation] = field(default_factory=lambda: MappingProxyType({}))

    def find(self, operation_id: UUID) -> Operation | None:
        """The operation, pending or past."""
        past = self.past.get(operation_id)
        return past or next((operation for operation in self.log if operation.id == operation_id), None)

    def unknown(self, names: Iterable[UUID]) -> list[UUID]:
        """Those of the names, each once and in their order, that no operation has, pending or past."""
        known = {operation.id for operation in self.log}
        return [name for name in dict.fromkeys(names) if name not in known and name not in self.past]


@dataclass(frozen=True, slots=True)
class Step:
    """What one event made of the account: its new state, what is announced, and the lines its ledger gains."""

    account: Account
    facts: tuple[Fact, ...] = ()
    lines: tuple[Line, ...] = ()


def bounds(account: Account) -> Interval:
    """The least and the most coins the account can hold behind its whole log."""
    interval = Interval(account.balance, account.balance)
    for operation in account.log:
        interval = span(operation, interval)
    return interval


def waits_for(account: Account, operation_id: UUID) -> tuple[tuple[UUID, ...], datetime | None, int]:
    """The open operations before this one, when it is answered at the latest, and its position in the log.

    No latest time is known (None) where it has no deadline of its own and something before it has none either: one
    that is only named may yet arrive, as a reservation that holds for long.
    """
    for position, (operation, ahead, until) in enumerate(waits(account)):
        if operation.id == operation_id:
            return tuple(ahead), until, position
    raise KeyError(operation_id)


def waits(account: Account) -> Iterator[tuple[Operation, Sequence[UUID], datetime | None]]:
    """What `waits_for` says of each operation of the log, in its order and in one pass.

    The open operations before it are a list that grows as the pass goes on: copy what is to be kept of it.
    """
    ahead: list[UUID] = []
    latest = datetime.min.replace(tzinfo=UTC)
    for operation in account.log:
        until = min(latest, operation.deadline or _NEVER)
        yield operation, ahead, None if until == _NEVER else until
        if operation.is_open:
            ahead.append(operation.id)
            latest = max(latest, _settled_by(operation, latest))


def _settled_by(operation: Operation, answered_by: datetime) -> datetime:
    """When the open operation is settled at the latest, if all before it are by `answered_by`."""
    if operation.state == "named":
        return _NEVER
    own = operation.deadline or _NEVER
    # A reservation that waits may be reserved, and then holds until its deadline.
    return own if operation.kind == "reserve" else min(answered_by, own)


def open_account(account: Account) -> Step:
    """Open the account, with no coins. Opened again, it stays as it is."""
    opened = account if account.opened else replace(account, opened=True)
    return Step(opened, (AccountOpened(account_id=account.id),))


def arrive(
    account: Account, operation: Operation, after: tuple[UUID, ...], now: datetime, limits: Limits = Limits()
) -> Step:
    """A credit, reserve, multiply or bonus arrives; `after` names operations that keep their place before it.

    `operation` is `waiting`, its place is ignored. Arriving again, it is answered as it was; under an id used for
    another operation it is refused, and a credit raises `Conflict`.
    """
    passed = pass_time(account, now)
    known = passed.account.find(operation.id)
    if known and known.state != "named":
        return _then(passed, Step(passed.account, _answer_again(passed.account, known, operation)))
    refusal = _not_admitted(passed.account, operation, after, limits)
    if refusal:
        return _then(passed, _refuse_at_the_door(passed.account, operation, refusal))
    return _then(passed, _settle(_take_place(passed.account, operation, after, now, limits), operation.id))


def capture(account: Account, operation_id: UUID, now: datetime, cause: str) -> Step:
    """Spend a reservation. One that is settled already is answered as it was: a late capture of an expired one too.

    Raises `Conflict` if nothing was ever reserved under this id.
    """
    passed = pass_time(account, now)
    known = passed.account.find(operation_id)
    match known:
        case Operation(state="reserved"):
            settled = replace(known, state="captured", delta=-known.size, deadline=None, cause=cause)
            return _then(passed, _settle(_put(passed.account, settled), facts=_said(account.id, settled)))
        case Operation(kind="reserve", state="captured" | "released" | "expired" | "refused"):
            return _then(passed, Step(passed.account, _said(account.id, known)))
        case _:
            raise Conflict(
                f"operation {operation_id} of account {account.id} was never reserved, so it can't be captured"
            )


def release(
    account: Account, operation_id: UUID, now: datetime, reason: str, cause: str, kinds: frozenset[OperationKind]
) -> Step:
    """Give a reservation back, or withdraw an operation that waits, if it is of one of these kinds.

    Where it has not arrived yet, a tombstone is left, so that it is refused when it does. One that is settled stays.
    """
    passed = pass_time(account, now)
    known = passed.account.find(operation_id)
    match known:
        case Operation(kind=kind) if kind is not None and kind not in kinds:
            return passed
        case Operation(state="reserved"):
            settled = replace(known, state="released", deadline=None, reason=reason, cause=cause)
            return _then(passed, _settle(_put(passed.account, settled), facts=_said(account.id, settled)))
        case Operation(state="waiting"):
            settled = replace(known, state="refused", deadline=None, reason=reason, cause=cause)
            return _then(passed, _settle(_put(passed.account, settled), facts=_said(account.id, settled)))
        case None | Operation(state="named"):
            tombstone = Operation(operation_id, 0, None, 0, "refused", reason=reason, cause=cause)
            return _then(passed, _settle(_bury(passed.account, tombstone)))
        case _:
            return passed


def pass_time(account: Account, now: datetime) -> Step:
    """Let every deadline up to `now` have its effect, in the order of the deadlines."""
    step = Step(account)
    while due := _due(step.account, now):
        ended = {each.id: _over(each) for each in due if each.state != "named"}
        left = _drop(step.account, {each.id for each in due} - ended.keys())
        log = tuple(ended.get(each.id, each) for each in left.log)
        facts = tuple(fact for each in ended.values() for fact in _said(account.id, each))
        step = _then(step, _settle(replace(left, log=log), facts=facts))
    return step


def _due(account: Account, now: datetime) -> list[Operation]:
    """What has its effect next, in the order of the deadlines: all that is due where nothing waits, since then nobody
    is answered between two deadlines; else one operation, or the named ones that lapse together.
    """
    due = [(operation.deadline, operation.place, operation) for operation in account.log if operation.deadline]
    over = [operation for deadline, _, operation in sorted(due) if deadline <= now]
    if not over or all(operation.state != "waiting" for operation in account.log):
        return over
    if over[0].state != "named":
        return over[:1]
    return [each for each in over if (each.state, each.deadline) == ("named", over[0].deadline)]


def _over(operation: Operation) -> Operation:
    """What a reservation or a wait becomes at its deadline."""
    if operation.state == "reserved":
        return replace(operation, state="expired", deadline=None, reason="deadline_passed", cause="deadline")
    return replace(operation, state="refused", deadline=None, reason="wait_deadline_passed", cause="deadline")


def _not_admitted(account: Account, operation: Operation, after: tuple[UUID, ...], limits: Limits) -> str | None:
    """Limits are admission control: an operation beyond them never enters the log."""
    if not account.opened:
        return "unknown_account"
    if len(account.log) + len(account.unknown((operation.id, *after))) > limits.pending:
        return "pending_limit"
    if operation.kind == "reserve":
        return None
    log = [*account.log]
    index = next((i for i, other in enumerate(log) if other.id == operation.id), len(log))
    log[index : index + 1] = [operation]
    high = account.balance
    for other in log:
        high = high if other.state == "named" else span(other, Interval(0, high)).high
        if high > COINS_MAX:
            return "balance_limit"
    return None


def _refuse_at_the_door(account: Account, operation: Operation, reason: str) -> Step:
    refused = replace(operation, state="refused", deadline=None, reason=reason, cause="admission")
    return _settle(_bury(account, refused), facts=_said(account.id, refused))


def _take_place(
    account: Account, operation: Operation, after: tuple[UUID, ...], now: datetime, limits: Limits
) -> Account:
    """Put the operation where it was named, else at the end, and before it the places of those that it names.

    A place kept further back moves before it: what stands between was answered as if anything could come first.
    """
    until = now + timedelta(seconds=limits.named_s)
    index = next((i for i, other in enumerate(account.log) if other.id == operation.id), len(account.log))
    front, back = account.log[:index], account.log[index + 1 :]
    wanted = dict.fromkeys(after)
    overdue = {other.id: other for other in back if other.state == "named" and other.id in wanted}
    unknown = {*account.unknown(wanted)} - {operation.id}
    named = [
        overdue.get(name) or Operation(name, 0, None, 0, "named", until)
        for name in wanted
        if name in overdue or name in unknown
    ]
    if index < len(account.log) and not named:
        return replace(account, log=(*front, replace(operation, place=account.log[index].place), *back))
    back = tuple(other for other in back if other.id not in overdue)
    places = account.places
    moved = []
    for each in (*named, operation, *back):
        places += 1
        moved.append(replace(each, place=places))
    return replace(account, log=(*front, *moved), places=places)


def _settle(account: Account, arrived: UUID | None = None, facts: tuple[Fact, ...] = ()) -> Step:
    """Walk the log once, answer what can be answered, fold the finished front."""
    announced = list(facts)
    log: list[Operation] = []
    interval = Interval(account.balance, account.balance)
    for operation in account.log:
        now = _answered(operation, interval)
        if now is not operation:
            announced += _said(account.id, now)
        log.append(now)
        interval = span(now, interval)
    step = _fold(replace(account, log=tuple(log)))
    waiting = arrived and next((o for o in step.account.log if o.id == arrived and o.state == "waiting"), None)
    if waiting:
        announced.append(_waiting_fact(step.account, waiting))
    return replace(step, facts=tuple(announced))


def _answered(operation: Operation, before: Interval) -> Operation:
    """The operation with its answer, if that is the same at both ends of the interval before it; else as it is."""
    if operation.state != "waiting" or operation.kind is None:
        return operation
    given = answer(operation.kind, operation.size, before.low)
    if given != answer(operation.kind, operation.size, before.high):
        return operation
    deadline = operation.deadline if given.state == "reserved" else None
    return replace(operation, state=given.state, delta=given.delta, reason=given.reason, deadline=deadline)


def _fold(account: Account) -> Step:
    """Move the finished front of the log into the balance and the ledger."""
    balance, seq = account.balance, account.lines
    lines: list[Line] = []
    for operation in account.log:
        if operation.is_open:
            break
        seq += 1
        lines.append(Line(seq, operation, balance, balance + operation.delta))
        balance += operation.delta
    if not lines:
        return Step(account)
    past = {**account.past, **{line.operation.id: line.operation for line in lines}}
    folded = replace(account, balance=balance, lines=seq, log=account.log[len(lines) :], past=past)
    return Step(folded, lines=tuple(lines))


def _put(account: Account, operation: Operation) -> Account:
    return replace(account, log=tuple(operation if other.id == operation.id else other for other in account.log))


def _drop(account: Account, ids: Collection[UUID]) -> Account:
    return replace(account, log=tuple(other for other in account.log if other.id not in ids))


def _bury(account: Account, operation: Operation) -> Account:
    """Remember an operation that never enters the log."""
    return replace(_drop(account, {operation.id}), past={**account.past, operation.id: operation})


def _then(first: Step, second: Step) -> Step:
    if not first.facts and not first.lines:
        return second
    return Step(second.account, first.facts + second.facts, first.lines + second.lines)


def _answer_again(account: Account, known: Operation, again: Operation) -> tuple[Fact, ...]:
    """What an operation is told that arrives under an id that is known: its answer, or that the id is used.

    A credit under a used id is a client's mistake and raises `Conflict`; the others belong to a saga that must end.
    """
    if known.kind is None:
        return _said(account.id, replace(known, kind=again.kind))
    if (known.kind, known.size) == (again.kind, again.size):
        return (_waiting_fact(account, known),) if known.state == "waiting" else _said(account.id, known)
    if again.kind is None or again.kind == "credit":
        was, now = f"{known.kind} {known.size}", f"{again.kind} {again.size}"
        raise Conflict(f"id {known.id} of account {account.id} was used for {was}, now for {now}; use a new id")
    return (CoinsRefused(account_id=account.id, operation_id=known.id, kind=again.kind, reason="id_used"),)


def _waiting_fact(account: Account, operation: Operation) -> Fact:
    ahead, until, position = waits_for(account, operation.id)
    assert operation.kind is not None
    return OperationWaiting(
        account_id=account.id,
        operation_id=operation.id,
        kind=operation.kind,
        position=position,
        waits_for=ahead[:WAITS_FOR_MAX],
        deadline=until,
    )


def _said(account_id: str, operation: Operation) -> tuple[Fact, ...]:
    fact = answer_fact(account_id, operation)
    return (fact,) if fact else ()
