"""What the user service does with each message: find the account, let the rule decide, keep and tell the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.commands import OpenAccount
from contracts.events import AccountOpened, CoinsRefused
from contracts.roles import AsksReservation, ChangesBalance, ConfirmsReservation, GivesUpReservation
from contracts.topology import SHOP
from holdfast import __version__
from holdfast.delivery.domain import Domain, Refused
from holdfast.delivery.message import Announcement, Message
from holdfast.delivery.words import Fact
from holdfast.entities.entities import Entities, may_wait
from holdfast.entities.tables import Note, state_of
from holdfast.pending import Entity, Operation, Outcome
from user_service import views
from user_service.answers import answer
from user_service.deadlines import DeadlinePassed
from user_service.kinds import KINDS, Coins
from user_service.settings import Settings
from user_service.store import keeper
from user_service.tables import delivery

DUE_TOGETHER_MAX = 500


@dataclass(frozen=True, slots=True)
class Limits:
    """`pending` and `waiting`: operations that one account may have pending in all, and unanswered. `join_s`: seconds
    for which an operation stands outside for those that it names, where its sender does not say.
    """

    pending: int = 10_000
    join_s: float = 900.0
    waiting: int = 200


class AccountHandlers:
    """Handles messages about accounts, within these limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._keeper = keeper()

    async def load(self, connection: AsyncConnection, messages: Sequence[Message], now: datetime) -> Entities:
        """Lock and read the accounts that these messages are about."""
        return await self._keeper.load(
            connection, {touched for message in messages for touched in _touches(message.fact)}
        )

    def handle(self, state: Entities, message: Message, now: datetime) -> Sequence[Announcement]:
        """Decide one message."""
        with state.deciding():
            return decide(state, message, now, self._limits)

    async def save(self, connection: AsyncConnection, state: Entities) -> None:
        """Keep what changed."""
        await self._keeper.save(connection, state)

    async def due(self, connection: AsyncConnection) -> Sequence[Fact]:
        """Accounts with a deadline that has passed."""
        return [DeadlinePassed(account_id=each) for each in await self._keeper.due(connection, DUE_TOGETHER_MAX)]


def decide(state: Entities, message: Message, now: datetime, limits: Limits) -> list[Announcement]:
    """What the message makes of its account, by the role that it has. Raises `Refused` for a contradiction."""
    match message.fact:
        case OpenAccount() as fact:
            state.open(fact.account_id)
            return [Announcement(AccountOpened(account_id=fact.account_id))]
        case AsksReservation() as fact:
            until = now + timedelta(seconds=fact.hold_s)
            kind = "reserve" if fact.direction == "out" else "receive"
            asked = _asked(message, kind, fact.amount, fact.after, until, until, until)
            return _arrive(state, fact, asked, now, limits)
        case ChangesBalance() as fact:
            joins_s, waits_s, change = fact.joins_s or limits.join_s, fact.waits_s, fact.change
            join_by, answer_by = now + timedelta(seconds=joins_s), waits_s and now + timedelta(seconds=waits_s)
            after: tuple[UUID, ...] = getattr(fact, "after", ())
            asked = _asked(message, change.kind, change.size, after, join_by, answer_by or None, None)
            return _arrive(state, fact, asked, now, limits)
        case ConfirmsReservation() as fact:
            return _capture(state, fact, now)
        case GivesUpReservation() as fact:
            return _give_up(state, fact, now)
        case DeadlinePassed() as fact:
            return _announce(state, fact.account_id, state.pass_time(fact.account_id, now))
        case other:
            raise Refused(f"type: {other.type!r} is not handled by the user service")


def _asked(
    message: Message,
    kind: str,
    size: int,
    after: tuple[UUID, ...],
    join_by: datetime,
    answer_by: datetime | None,
    settle_by: datetime | None,
) -> Operation[int]:
    note = Note(message.fact.exchange, message.fact.type, message.trace)
    operation_id = operation_of(message.fact)
    named = frozenset(after) - {operation_id}
    return Operation(operation_id, KINDS[kind](size), named, join_by, answer_by, settle_by, note=note)


def _arrive(state: Entities, fact: Fact, asked: Operation[int], now: datetime, limits: Limits) -> list[Announcement]:
    """A new operation arrives. One that has arrived before is answered as it was."""
    account_id, operation_id = fact.subject, operation_of(fact)
    account = state.at[account_id]
    if known := account.find(operation_id):
        _must_be_free_for_a_command(account_id, known, asked)
        told = _announce(state, account_id, state.pass_time(account_id, now))
        return told + _answer_again(state, account_id, operation_id, asked)
    told = _announce(state, account_id, state.pass_time(account_id, now))
    if account_id not in state.opened:
        outcome = state.refuse(account_id, asked, now, "unknown_account")
    elif _is_crowded(account, asked, limits):
        outcome = state.refuse(account_id, asked, now, "pending_limit")
    else:
        outcome = state.arrive(account_id, asked, now)
    return told + _announce(state, account_id, outcome, operation_id)


def _is_crowded(account: Entity[int], asked: Operation[int], limits: Limits) -> bool:
    """Whether there is no room for the operation. One that is answered at once needs none among those that wait."""
    if len(account) >= limits.pending:
        return True
    if account.unanswered < limits.waiting:
        return False
    named = [account.find(each) for each in asked.after]
    return any(each is None or each.status == "outside" for each in named) or may_wait(account, asked.kind)


def _is_repeat(known: Operation[int], asked: Operation[int]) -> bool:
    return (known.kind, known.note.asked_by) == (asked.kind, asked.note.asked_by)


def _must_be_free_for_a_command(account_id: str, known: Operation[int], asked: Operation[int]) -> None:
    """A command under an id that was used for something else is its sender's mistake, and parked. Where a service asks,
    its saga must end, so it is told.
    """
    if asked.note.asked_by == "commands" and known.kind is not None and not _is_repeat(known, asked):
        was, now = (f"{kind.name} {kind.size}" for kind in (known.kind, asked.kind) if isinstance(kind, Coins))
        raise Refused(f"id {known.id} of account {account_id} was used for {was}, now for {now}; use a new id")


def _answer_again(state: Entities, account_id: str, operation_id: UUID, asked: Operation[int]) -> list[Announcement]:
    account = state.at[account_id]
    known = account.find(operation_id)
    assert known is not None
    assert isinstance(asked.kind, Coins)
    reason: str | None = "id_used"
    if known.note.asked_by == asked.note.asked_by and known.kind in (None, asked.kind):
        reason = known.reason if known.kind is None else None
    if reason:
        refused = CoinsRefused(
            account_id=account_id,
            operation_id=operation_id,
            asked_by=asked.note.asked_by,
            kind=asked.kind.name,
            reason=reason,
        )
        return [Announcement(refused, asked.note.trace)]
    fact = answer(account_id, account, known)
    return [Announcement(fact, known.note.trace)] if fact else []


def _capture(state: Entities, fact: ConfirmsReservation, now: datetime) -> list[Announcement]:
    """Spend a reservation. One that is settled already is answered as it was: a late capture of an expired one, too."""
    account_id, operation_id = fact.account_id, operation_of(fact)
    known = state.at[account_id].find(operation_id)
    if known is None or known.kind is None or known.note.asked_by != fact.exchange or known.status in _UNANSWERED:
        raise Refused(f"operation {operation_id} of account {account_id} was never reserved, so it can't be captured")
    outcome = state.settle(account_id, operation_id, now, fact.type)
    told = _announce(state, account_id, outcome)
    if known.status != "settled":
        return told
    again = answer(account_id, state.at[account_id], known)
    return [*told, Announcement(again, known.note.trace)] if again else told


_UNANSWERED = ("outside", "waiting")


def _give_up(state: Entities, fact: GivesUpReservation, now: datetime) -> list[Announcement]:
    """Release a reservation, or withdraw what is unanswered. What another asked for is not this service's to end."""
    account_id, operation_id = fact.account_id, operation_of(fact)
    known = state.at[account_id].find(operation_id)
    if known and known.kind is not None and known.note.asked_by != fact.exchange:
        return _announce(state, account_id, state.pass_time(account_id, now))
    told = _announce(state, account_id, state.pass_time(account_id, now))
    known = state.at[account_id].find(operation_id)
    if known and known.status == "reserved":
        outcome = state.release(account_id, operation_id, now, fact.why, fact.type)
    else:
        outcome = state.withdraw(account_id, operation_id, now, fact.why, fact.type, fact.exchange)
    return told + _announce(state, account_id, outcome)


def _announce(
    state: Entities, account_id: str, outcome: Outcome[int], arrived: UUID | None = None
) -> list[Announcement]:
    """What is announced of an outcome. That an operation waits is told when it arrives, and not again when it joins.
    That it is accepted is not told if it is answered in the same outcome: then it waits for nothing any more.
    """
    announced, account = [], state.at[account_id]
    for operation in outcome.changed:
        told = state_of(operation)
        is_over = told == "accepted" and account.find(operation.id) != operation
        if not is_over and (told not in ("outside", "waiting") or operation.id == arrived):
            fact = answer(account_id, account, operation)
            announced += [Announcement(fact, operation.note.trace)] if fact else []
    return announced


def operation_of(fact: Fact) -> UUID:
    """The id of the operation that the message is about: that of its saga."""
    operation_id: UUID = getattr(fact, fact.saga_field)
    return operation_id


def _touches(fact: Fact) -> set[tuple[str, UUID | None]]:
    """The account, and the operations that must be known to decide."""
    names: list[UUID] = [*getattr(fact, "after", ())]
    if isinstance(fact, AsksReservation | ChangesBalance | ConfirmsReservation | GivesUpReservation):
        names.append(operation_of(fact))
    return {(fact.subject, None), *((fact.subject, name) for name in names)}


def domain(settings: Settings) -> Domain[Entities]:
    """The user service, as delivery sees it."""
    return Domain(
        service="user_service",
        topology=SHOP,
        version=__version__,
        tables=delivery,
        handlers=AccountHandlers(Limits(settings.pending_max, settings.join_s, settings.waiting_max)),
        answers=views.answers(),
        gauges=views.gauges,
    )
