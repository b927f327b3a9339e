"""What must hold for pending operations: none waits without need, none was answered too early. Pure.

The possible states are tried one by one, which is slow and hard to get wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from client.audit_oracle import ORACLE, REFUSALS, UNITS, Row
from client.audit_rows import OPEN, UNANSWERED, Entities, EntityRow, Finding, LineRow, OperationRow, named

OVERDUE_S = 60.0
"""How long after its deadline an operation may be open, and how long a saga may be open while its operation is not."""

TRIED_MAX = 4_000
"""States that are tried in one log. Services look at more before they let wait what would not have to. Beyond it the
least and the greatest states are tried alone: enough to see an answer that was too early, and no needless wait.
"""
KEPT_MAX = 64

_DEADLINES: Mapping[str, str] = {
    "outside": "join_by",
    "waiting": "answer_by",
    "accepted": "answer_by",
    "reserved": "settle_by",
}


@dataclass
class Possible:
    """The states that are possible at a place in the log. `is_all`: there are no others."""

    states: set[int]
    tried: int = 0
    is_all: bool = True

    def move(self, behind: set[int]) -> None:
        self.tried += len(behind)
        self.is_all = self.is_all and self.tried <= TRIED_MAX
        if not self.is_all and len(behind) > KEPT_MAX:
            ordered = sorted(behind)
            behind = {*ordered[: KEPT_MAX // 2], *ordered[-KEPT_MAX // 2 :]}
        self.states = behind

    def __str__(self) -> str:
        least, greatest = min(self.states), max(self.states)
        return str(least) if least == greatest else f"{least} to {greatest}"


def pending_findings(of: str, row: EntityRow, pending: Sequence[OperationRow]) -> Iterator[Finding]:
    """Walk the log with every possible state, and compare each operation with what one program would answer on them."""
    entity = named(of, row.key)
    if len({operation.place for operation in pending}) != len(pending):
        yield Finding(entity, "places of pending operations", "all different", "one twice")
    log = sorted((each for each in pending if each.state != "outside"), key=lambda each: each.place)
    if log and log[0].state not in OPEN:
        yield Finding(entity, f"first pending operation, {log[0]}", "open, or a line of the ledger", log[0].state)
    possible = Possible({row.state})
    for operation in log:
        oracle = ORACLE.get(operation.kind or "")
        if oracle is None or oracle.of != of or operation.size is None:
            continue
        if operation.state in UNANSWERED:
            yield from _waiting(entity, operation, oracle, possible)
        else:
            yield from _answered(entity, operation, oracle, possible)
        if (least := min(possible.states)) < 0:
            yield Finding(entity, f"{UNITS[of]} surely left behind {operation}", "at least 0", str(least))
            possible.states = {max(state, 0) for state in possible.states}


def _waiting(entity: str, operation: OperationRow, oracle: Row, possible: Possible) -> Iterator[Finding]:
    """It waits only while possible states differ in their answers, and is accepted when nothing can refuse it."""
    answers = {_told(oracle, state, operation) for state in possible.states}
    what = f"answer of {operation} on {possible} {UNITS[oracle.of]}"
    if len(answers) == 1 and possible.is_all:
        yield Finding(entity, what, f"{_said(oracle, *answers)}, the same for all", operation.state)
    is_certain = operation.answer_by is None and None not in answers
    if operation.state == "accepted" and not is_certain:
        why = f"refused ({oracle.refusal}) is possible" if None in answers else "it can be withdrawn"
        yield Finding(entity, what, f"waiting, since {why}", "accepted")
    if operation.state == "waiting" and is_certain and len(answers) > 1 and possible.is_all:
        yield Finding(entity, what, "accepted, since nothing refuses or withdraws it", "waiting")
    behind = set(possible.states) if operation.answer_by else set()
    for state in possible.states:
        behind.update(_behind(oracle, state, operation.size or 0))
    possible.move(behind)


def _answered(entity: str, operation: OperationRow, oracle: Row, possible: Possible) -> Iterator[Finding]:
    """Every possible state gives the answer that was given: as it was then, and all the more as it is now."""
    what = f"answer of {operation} on {possible} {UNITS[oracle.of]}"
    if operation.state == "refused":
        yield from _refused(entity, operation, oracle, possible)
        return
    if operation.state != "reserved" and operation.state not in oracle.words:
        yield Finding(entity, what, " or ".join(oracle.words), operation.state)
        return
    for state in sorted(possible.states):
        answer = _told(oracle, state, operation)
        if answer != operation.answer:
            yield Finding(entity, what, f"{_said(oracle, answer)} on {state}", f"{operation.state} {operation.answer}")
            break
    given = operation.answer or 0
    if operation.state == "reserved":
        possible.move({behind for state in possible.states for behind in oracle.behind(state, given)})
    else:
        possible.move({state + operation.delta for state in possible.states})


def _refused(entity: str, operation: OperationRow, oracle: Row, possible: Possible) -> Iterator[Finding]:
    """Every possible state refuses it, or somebody could withdraw it."""
    told = {_told(oracle, state, operation) for state in possible.states}
    what, found = f"answer of {operation} on {possible} {UNITS[oracle.of]}", f"refused ({operation.reason})"
    if operation.reason in REFUSALS or not operation.reason:
        # What was refused rather than let wait is judged in the ledger, by what was possible then.
        if may_be_refused_at_once(oracle, operation):
            return
        if told != {None} or operation.reason != oracle.refusal:
            yield Finding(entity, what, " or ".join(_said(oracle, each) for each in told), found)
    elif operation.answer_by is None:
        yield Finding(entity, f"{what}, which nothing can withdraw", "no withdrawal", found)


def may_be_refused_at_once(oracle: Row, operation: OperationRow) -> bool:
    """Whether it may have been refused for want of what others might have given back: items and codes can be scarce."""
    return oracle.of in ("item", "code") and operation.reason == oracle.refusal and operation.answer_by is not None


def was_uncertain(lines: Sequence[LineRow], index: int, arrived_at: datetime) -> bool:
    """Whether a state that was possible when the operation of this line arrived refuses it. The lines before it that
    had not been written by then may all have been open.
    """
    first = index
    while first and lines[first - 1].at >= arrived_at:
        first -= 1
    possible = Possible({lines[first].before})
    for line in lines[first:index]:
        if oracle := ORACLE.get(line.kind):
            possible.move({end for state in possible.states for end in _behind(oracle, state, line.size)})
    return any(ORACLE[lines[index].kind].answer(state, lines[index].size) is None for state in possible.states)


def outside_findings(entity: str, operations: Mapping[UUID, OperationRow]) -> Iterator[Finding]:
    """What stands outside waits for one that it names and that has not joined."""
    joined = {each.operation_id for each in operations.values() if each.state != "outside"}
    for operation in operations.values():
        if operation.state == "outside" and joined.issuperset(operation.after):
            expected = "in the log, since all that it names have joined or settled"
            yield Finding(entity, f"{operation}", expected, "outside")


def deadline_findings(of: str, operation: OperationRow, now: datetime) -> Iterator[Finding]:
    """What is open has the deadline that its state gives it, and ends soon after it; what is settled has none."""
    entity = named(of, operation.key)
    wanted = getattr(operation, _DEADLINES[operation.state]) if operation.state in OPEN else None
    if operation.deadline != wanted:
        what = f"deadline of {operation}, {operation.state}"
        yield Finding(entity, what, _at(wanted), _at(operation.deadline))
    if wanted is None and (operation.state == "outside" or (operation.state == "reserved" and of == "account")):
        # Nothing would ever end it, and it would hold up all that waits behind it.
        yield Finding(entity, f"deadline of {operation}, {operation.state}", "one", "none")
    if is_overdue(operation, now):
        expected = f"over since its deadline, {_at(operation.deadline)}"
        yield Finding(entity, f"{operation}", expected, operation.state)


def is_overdue(operation: OperationRow, now: datetime) -> bool:
    """Whether the operation is open although its deadline is long past: its end is not merely on its way."""
    if operation.state not in OPEN or operation.deadline is None:
        return False
    return operation.deadline + timedelta(seconds=OVERDUE_S) < now


def open_ids(kept: Entities) -> set[UUID]:
    """The operations that have not ended."""
    return {operation.operation_id for operation in kept.operations if operation.state in OPEN}


def _behind(oracle: Row, state: int, size: int) -> tuple[int, ...]:
    """The states in which an operation may leave an entity that was in this one."""
    answer = oracle.answer(state, size)
    return (state,) if answer is None else oracle.behind(state, answer)


def _told(oracle: Row, state: int, operation: OperationRow) -> int | None:
    return oracle.answer(state, operation.size or 0)


def _said(oracle: Row, answer: int | None) -> str:
    if answer is None:
        return f"refused ({oracle.refusal})"
    return f"{'reserved' if oracle.is_reservation else oracle.done} {answer}"


def _at(moment: datetime | None) -> str:
    return moment.isoformat() if moment else "none"
