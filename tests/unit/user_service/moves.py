"""The table language of these tests: one message a line, and what is announced of it.

    time  verb      name  size  options               announced
    0     credit    c     50                       -> c credited 50
    1     reserve   a     20    for 60             -> a reserved 20 until 61
    2     multiply  m     2     for 30 after b,x   -> m waits at 1 for b,x until 32
          balance 50 | 30..50 | a | m

Times and `for` (how long it may wait, or holds) are seconds; a multiply or bonus without `for` is irrevocable. The
other verbs are `open`, `bonus`, `capture`, `release` (its order failed), `cancel` (its order was cancelled), `refuse`
(its redemption was refused) and `sweep` (time passes and nothing else); any other, such as `credit`, is the command of
that name, `account.credit`. A line that starts with `balance` says what the account holds: the balance, the bounds of
what is possible, the names in its log, and those outside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID

from contracts.commands import OpenAccount
from contracts.events import (
    AccountOpened,
    CoinsCaptured,
    CoinsCredited,
    CoinsExpired,
    CoinsMultiplied,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
    OperationAccepted,
    OperationWaiting,
    OrderCancelled,
    OrderConfirmed,
    OrderFailed,
    OrderPlaced,
    PromoClaimed,
    PromoRefused,
    TookEffect,
)
from contracts.roles import Bonus, ChangesBalance, Multiply
from contracts.topology import FACTS
from holdfast.delivery.domain import Refused
from holdfast.delivery.message import Announcement, Message
from holdfast.delivery.words import Fact
from holdfast.entities.entities import Entities
from holdfast.pending import Entity
from user_service.deadlines import DeadlinePassed
from user_service.handlers import Limits, decide

START = datetime(2030, 1, 1, tzinfo=UTC)
ACCOUNT = "ada"
NO_LIMITS = Limits(join_s=60.0)
CHANGES = {name: fact for name, fact in FACTS.items() if fact.audience and issubclass(fact, ChangesBalance)}
"""Commands that change a balance, `account.credit` for instance."""


@dataclass(frozen=True, slots=True)
class Move:
    """One line of a table. `at` and `lasts` are seconds."""

    at: int
    verb: str
    name: str = ""
    size: int = 0
    lasts: int | None = None
    after: tuple[str, ...] = ()


def parse(line: str) -> Move:
    """The move that a line states."""
    at, verb, *words = line.split()
    move, rest = Move(int(at), verb, "".join(words[:1])), words[1:]
    if rest and rest[0].isdigit():
        move, rest = replace(move, size=int(rest[0])), rest[1:]
    for word, value in zip(rest[::2], rest[1::2], strict=True):
        if word == "for":
            move = replace(move, lasts=int(value))
        elif word == "after":
            move = replace(move, after=tuple(value.split(",")))
        else:
            raise ValueError(f"{word!r} in {line!r}")
    return move


@cache
def id_of(name: str) -> UUID:
    """The id that a name stands for."""
    return UUID(int=int.from_bytes(name.encode(), "big"))


def name_of(operation_id: object) -> str:
    """The name that an id stands for."""
    assert isinstance(operation_id, UUID)
    return operation_id.bytes.lstrip(b"\0").decode()


def time_of(at: int) -> datetime:
    """The time that is `at` seconds from the start."""
    return START + timedelta(seconds=at)


def nobody() -> Entities:
    """The account, which is not open yet, and no other."""
    return Entities({ACCOUNT: Entity(0)}, set())


def fact_of(move: Move) -> Fact:
    """The message that the move stands for."""
    name, after = id_of(move.name), tuple(map(id_of, move.after))
    order = {"order_id": name, "account_id": ACCOUNT}
    match move.verb:
        case "open":
            return OpenAccount(account_id=ACCOUNT)
        case "reserve":
            asked = {"amount": move.size, "hold_s": float(move.lasts or 0), "after": after}
            return OrderPlaced.model_validate({**order, **asked})
        case "bonus" | "multiply":
            effect = Bonus(amount=move.size) if move.verb == "bonus" else Multiply(factor=move.size)
            wait_s = float(move.lasts) if move.lasts else None
            of = {"redemption_id": name, "account_id": ACCOUNT, "effect": effect, "after": after}
            return PromoClaimed.model_validate({**of, "wait_s": wait_s, "join_s": wait_s or 60.0})
        case "capture":
            return OrderConfirmed.model_validate(order)
        case "release":
            return OrderFailed.model_validate({**order, "reason": "out_of_stock"})
        case "cancel":
            return OrderCancelled.model_validate(order)
        case "refuse":
            return PromoRefused(redemption_id=name, account_id=ACCOUNT, reason="used_up")
        case "sweep":
            return DeadlinePassed(account_id=ACCOUNT)
        case verb:
            command = CHANGES[f"account.{verb}"]
            figures = dict.fromkeys(command.model_fields, move.size)
            of = {command.saga_field: name, "account_id": ACCOUNT, "after": after}
            return command.model_validate({**figures, **of})


def message(fact: Fact, trace: str | None = None) -> Message:
    """The fact as it is delivered."""
    return Message(UUID(int=1), UUID(int=1), fact, trace)


def play(state: Entities, move: Move, limits: Limits = NO_LIMITS) -> list[Announcement]:
    """What the service makes of this move. Raises `Refused`."""
    return decide(state, message(fact_of(move)), time_of(move.at), limits)


def describe(fact: Fact) -> str:
    """The fact as a table says it."""
    match fact:
        case AccountOpened():
            return "opened"
        case CoinsCredited(operation_id=of, amount=amount):
            return f"{name_of(of)} credited {amount}"
        case CoinsReserved(operation_id=of, amount=amount, deadline=deadline):
            return f"{name_of(of)} reserved {amount}{_until(deadline)}"
        case CoinsRefused(operation_id=of, reason=reason):
            return f"{name_of(of)} refused {reason}"
        case CoinsCaptured(operation_id=of, amount=amount):
            return f"{name_of(of)} captured {amount}"
        case CoinsReleased(operation_id=of, amount=amount):
            return f"{name_of(of)} released {amount}"
        case CoinsExpired(operation_id=of, amount=amount):
            return f"{name_of(of)} expired {amount}"
        case CoinsMultiplied(operation_id=of, factor=factor, added=added):
            return f"{name_of(of)} multiplied by {factor} +{added}"
        case TookEffect(operation_id=of) as done:
            size, answer = (getattr(done, field) for field in (done.size_field, done.answer_field))
            return f"{name_of(of)} {done.type.partition('.')[2]} {answer} by {size}"
        case OperationWaiting() | OperationAccepted() as told:
            how = "accepted" if isinstance(told, OperationAccepted) else "waits"
            ahead = ",".join(map(name_of, told.waits_for))
            return f"{name_of(told.operation_id)} {how} at {told.position} for {ahead}{_until(told.deadline)}"
        case other:
            raise ValueError(f"no words for {other!r}")


def _until(deadline: datetime | None) -> str:
    return f" until {round((deadline - START).total_seconds())}" if deadline else ""


def describe_all(told: Iterable[Announcement]) -> str:
    """Everything that one move announced."""
    return "; ".join(describe(each.fact) for each in told) or "nothing"


def describe_account(account: Entity[int]) -> str:
    """The balance, the bounds, the log and what stands outside, as a table says them."""
    least, greatest = account.bounds or (0, 0)
    log = " ".join(name_of(each.id) for each in account if each.status != "outside")
    outside = " ".join(name_of(each.id) for each in account if each.status == "outside")
    return f"balance {account.state} | {max(least, 0)}..{greatest} | {log}" + (f" | {outside}" if outside else "")


def play_table(table: str, limits: Limits = NO_LIMITS) -> Entities:
    """Play a table and return the account; fails at the first line that is not as the table says."""
    state, asked, told = nobody(), [], []
    for line in filter(None, map(str.strip, table.splitlines())):
        if line.startswith("balance"):
            asked.append(line)
            told.append(describe_account(state.at[ACCOUNT]).strip())
            continue
        text, _, expected = line.partition("->")
        try:
            announced = describe_all(play(state, parse(text), limits))
        except Refused:
            announced = "conflict"
        asked.append(f"{' '.join(text.split())} -> {' '.join(expected.split())}")
        told.append(f"{' '.join(text.split())} -> {announced}")
    assert told == asked, "\n".join(f"{'  ' if a == b else '! '}{b}" for a, b in zip(asked, told, strict=True))
    return state
