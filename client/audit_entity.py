"""What must hold within one entity: its ledger is what a program doing one operation at a time writes. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from client.audit_oracle import ORACLE, REFUSALS, UNITS, Row
from client.audit_pending import (
    deadline_findings,
    may_be_refused_at_once,
    outside_findings,
    pending_findings,
    was_uncertain,
)
from client.audit_rows import OPEN, Entities, EntityRow, Finding, LineRow, OperationRow, named

WITHDRAWALS: Mapping[tuple[str, str], frozenset[str]] = {
    ("account", "commands"): frozenset(),
    ("account", "order"): frozenset({"cancelled", "order_failed"}),
    ("account", "promo"): frozenset({"promo_refused"}),
}
"""Why those who asked withdraw what waits, where that is known. Others have reasons of their own."""

OVERDUE = "wait_deadline_passed"

Operations = Mapping[UUID, OperationRow]


def entity_findings(kept: Entities) -> Iterator[Finding]:
    """What is wrong in one service's entities by themselves."""
    lines: dict[str, list[LineRow]] = defaultdict(list)
    operations: dict[str, dict[UUID, OperationRow]] = defaultdict(dict)
    for line in kept.ledger:
        lines[line.key].append(line)
    for operation in kept.operations:
        operations[operation.key][operation.operation_id] = operation
    rows = {row.key: row for row in kept.entities}
    for key in sorted(rows.keys() | lines.keys() | operations.keys()):
        row, own = rows.get(key, EntityRow(key, 0, 0, 0)), operations.get(key, {})
        of = named(kept.of, key)
        own_lines = sorted(lines.get(key, ()), key=lambda line: line.seq)
        yield from _replay(kept.of, row, own_lines, own)
        yield from _match(of, row, own_lines, own)
        for operation in own.values():
            yield from _row_findings(kept.of, operation, kept.now)
            yield from deadline_findings(kept.of, operation, kept.now)
        yield from outside_findings(of, own)
        yield from pending_findings(kept.of, row, [each for each in own.values() if each.pending])
    yield from _conserved(kept)


def _replay(of: str, row: EntityRow, lines: Sequence[LineRow], operations: Operations) -> Iterator[Finding]:
    """Do the operations again, one at a time, and compare each answer and state with the ledger's."""
    state, entity, unit = 0, named(of, row.key), UNITS[of]
    for number, line in enumerate(lines, start=1):
        if line.seq != number:
            yield Finding(entity, "ledger line's number", str(number), str(line.seq))
        if line.before != state:
            yield Finding(entity, f"{unit} before {line}", f"{state} (after the line before)", str(line.before))
        oracle = ORACLE.get(line.kind)
        if oracle is None or oracle.of != of:
            yield Finding(entity, f"kind of {line}", f"a kind of {of} operation", line.kind)
        else:
            yield from _answer(state, lines, number - 1, oracle, operations.get(line.operation_id))
            answer = oracle.answer(state, line.size)
            added = oracle.adds * (answer or 0) if line.state == oracle.done else 0
            if line.after != state + added:
                yield Finding(entity, f"{unit} after {line}, {line.state}", str(state + added), str(line.after))
        if line.after < 0:
            yield Finding(entity, f"{unit} after {line}", "at least 0", str(line.after))
        state = line.after
    if row.state != state:
        yield Finding(entity, unit, f"{state} (the ledger's last)", str(row.state))
    if row.lines != len(lines):
        yield Finding(entity, "ledger lines", str(row.lines), str(len(lines)))


def _answer(
    state: int, lines: Sequence[LineRow], index: int, oracle: Row, operation: OperationRow | None
) -> Iterator[Finding]:
    """Whether one program can have given this answer on this state, or somebody can have withdrawn the operation."""
    line = lines[index]
    told, entity = oracle.answer(state, line.size), named(oracle.of, line.key)
    words = oracle.words if told is not None else (f"refused ({oracle.refusal})",)
    what, expected = f"answer of {line} on {state} {UNITS[oracle.of]}", " or ".join(words)
    if line.state != "refused":
        if line.state not in words:
            yield Finding(entity, what, expected, line.state)
    elif line.reason in REFUSALS or not line.reason:
        at_once = operation and may_be_refused_at_once(oracle, operation)
        if at_once and operation and was_uncertain(lines, index, operation.arrived_at):
            return
        if told is not None or line.reason != oracle.refusal:
            yield Finding(entity, what, expected, f"refused ({line.reason or 'for no reason'})")
    else:
        reasons = WITHDRAWALS.get((oracle.of, line.asked_by))
        if reasons is not None and line.reason not in reasons | {OVERDUE}:
            wanted = " or ".join((oracle.refusal, *sorted(reasons), OVERDUE))
            yield Finding(entity, f"reason why {line} was refused", wanted, line.reason)
        if operation and operation.answer_by is None:
            # It was certain to have an effect, and counted upon.
            yield Finding(entity, f"{what}, which nothing can withdraw", expected, f"refused ({line.reason})")


def _match(of: str, row: EntityRow, lines: Sequence[LineRow], operations: Operations) -> Iterator[Finding]:
    """Each settled operation has one line, which says the same of it."""
    lined: set[UUID] = set()
    for line in lines:
        if line.operation_id in lined:
            yield Finding(of, f"ledger lines of operation {line.operation_id}", "one", "more")
        lined.add(line.operation_id)
        operation = operations.get(line.operation_id)
        if operation is None:
            yield Finding(of, f"operation of ledger line {line.seq}", str(line.operation_id), "none")
            continue
        oracle = ORACLE.get(line.kind)
        answer = oracle.answer(line.before, line.size) if oracle and line.state != "refused" else None
        wanted = (line.kind, line.size, line.state, line.reason, line.asked_by, answer, line.after - line.before, False)
        found = (operation.kind, operation.size, operation.state, operation.reason, operation.asked_by)
        found_too = (operation.answer, operation.delta, operation.pending)
        if wanted != (*found, *found_too):
            what = f"operation of ledger line {line.seq}, {line.operation_id}"
            yield Finding(of, what, _said(wanted), _said((*found, *found_too)))
    yield from _places(of, row, lines, operations)
    for operation in operations.values():
        if not operation.pending and operation.operation_id not in lined:
            yield from _unlined(of, operation)


def _places(of: str, row: EntityRow, lines: Sequence[LineRow], operations: Operations) -> Iterator[Finding]:
    """The ledger, and the log behind it, are in the order of their places."""
    last = 0
    for line in lines:
        if operation := operations.get(line.operation_id):
            if operation.place <= last:
                yield Finding(of, f"place of {line}", f"more than {last}", str(operation.place))
            last = operation.place
    for operation in operations.values():
        if operation.pending and operation.state != "outside" and operation.place <= last:
            yield Finding(of, f"place of pending {operation}", f"more than {last}", str(operation.place))
    given = max((operation.place for operation in operations.values()), default=0)
    if row.places != given:
        yield Finding(of, "places that were given", str(given), str(row.places))


def _unlined(of: str, operation: OperationRow) -> Iterator[Finding]:
    """A settled operation that is not in the ledger: it was refused before it joined the entity's operations."""
    if operation.state in OPEN:
        yield Finding(of, f"{operation}, which is no longer pending", "settled", operation.state)
    elif operation.state != "refused":
        yield Finding(of, f"ledger line of {operation}", operation.state, "none")
    elif operation.kind is not None and (
        _has_joined(operation) or operation.reason in REFUSALS or not operation.reason
    ):
        # A reason that is in the state is true or false of it, and no ledger says of which.
        yield Finding(of, f"ledger line of {operation}", f"refused ({operation.reason})", "none")


def _has_joined(operation: OperationRow) -> bool:
    """Whether it stood in the log: who was refused at the door has no place, who stood outside names one."""
    return operation.place > 0 and not operation.after


def _row_findings(of: str, operation: OperationRow, now: datetime) -> Iterator[Finding]:
    """What the row of one operation says of itself."""
    entity, oracle = named(of, operation.key), ORACLE.get(operation.kind or "")
    if operation.kind is None and operation.state != "refused":
        yield Finding(entity, f"operation {operation.operation_id}, which never arrived", "refused", operation.state)
    if operation.kind is not None and (oracle is None or oracle.of != of):
        yield Finding(entity, f"kind of {operation}", f"a kind of {of} operation", operation.kind)
    if operation.state == "expired" and not (operation.settle_by and operation.settle_by <= now):
        by = operation.settle_by.isoformat() if operation.settle_by else "no deadline"
        yield Finding(entity, f"{operation}", f"not expired before {by}", "expired")


def _conserved(kept: Entities) -> Iterator[Finding]:
    """Nothing is created or lost: what there is, is what the operations that have left the log added."""
    held = sum(row.state for row in kept.entities)
    moved = sum(operation.delta for operation in kept.operations if not operation.pending)
    if held != moved:
        wanted = f"{moved} (added by all operations)"
        yield Finding(f"every {kept.of}", f"sum of {UNITS[kept.of]}", wanted, str(held))


def _said(values: tuple[object, ...]) -> str:
    return "kind {}, size {}, state {}, reason {}, asked by {}, answer {}, delta {}, pending {}".format(*values)
