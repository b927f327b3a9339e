"""Pending operations as people read them: the same words and the same table for an account, an item and a code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from rich.console import Console

from client.session import table
from client.timeline import short
from holdfast.entities.words import PendingView


def render_pending(console: Console, pending: Sequence[PendingView], count: int | None, now: datetime) -> None:
    """What is pending and what each waits for. `count`: how many there are, where not all are shown."""
    if not pending:
        console.print("pending    nothing")
        return
    console.print("pending")
    rows = table("  id", "operation", "state", "waits for", "at most")
    for each in pending:
        rows.add_row(f"  {each.operation_id}", what(each), each.state, _waits_for(each, pending), _at_most(each, now))
    console.print(rows)
    if (more := (count or 0) - len(pending)) > 0:
        console.print(f"  and {more} more")


def told(operation_id: UUID, pending: Sequence[PendingView], now: datetime) -> str | None:
    """In one sentence what the operation waits for; None if it does not wait, or is not there."""
    operation = next((each for each in pending if each.operation_id == operation_id), None)
    if operation is None or operation.state not in ("outside", "waiting", "accepted"):
        return None
    verb = "is accepted and waits for" if operation.state == "accepted" else "waits for"
    left = _at_most(operation, now)
    return f"{what(operation)} {verb} {_waits_for(operation, pending)}" + (f", at most {left}" if left != "-" else "")


def what(operation: PendingView | None) -> str:
    """An operation in two words. A claim is for one use, and its size says how many there may be."""
    if operation is None or operation.kind is None:
        return "command"
    if operation.size is None or operation.kind == "claim":
        return operation.kind
    return f"{operation.kind} " + (f"x{operation.size}" if operation.kind == "multiply" else str(operation.size))


def _waits_for(operation: PendingView, pending: Sequence[PendingView]) -> str:
    """The operations that it waits for, or why it is pending although it does not wait."""
    names = {each.operation_id: each for each in pending}
    ahead = ", ".join(f"{what(names.get(each))} {short(each)}" for each in operation.waits_for)
    match operation.state:
        case "outside":
            return f"the arrival of {ahead}"
        case "reserved":
            return "its saga's end"
        case _:
            return ahead or "nothing; counts after those before it"


def _at_most(operation: PendingView, now: datetime) -> str:
    until = operation.waits_until or operation.deadline
    return f"{max(0.0, (until - now).total_seconds()):.0f} s" if until else "-"
