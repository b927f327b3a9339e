"""What the user service does with each message: find the account, let `account.py` decide, keep the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.base import Fact
from contracts.commands import Bonus, CreditAccount, Multiply, OpenAccount
from contracts.events import (
    OperationKind,
    OrderCancelled,
    OrderConfirmed,
    OrderFailed,
    OrderPlaced,
    PromoClaimed,
    PromoRefused,
)
from contracts.topology import facts_for
from messaging.domain import Domain, Refused
from messaging.message import Announcement, Message
from user_service import store, views
from user_service.account import Account, Conflict, Limits, Step, arrive, capture, open_account, pass_time, release
from user_service.deadlines import DeadlinePassed
from user_service.operation import Operation
from user_service.settings import Settings
from user_service.store import Accounts
from user_service.tables import delivery

DUE_TOGETHER_MAX = 500
ORDERS: frozenset[OperationKind] = frozenset(("reserve",))
PROMOS: frozenset[OperationKind] = frozenset(("multiply", "bonus"))


class AccountHandlers:
    """Handles messages about accounts, within these limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def load(self, connection: AsyncConnection, messages: Sequence[Message], now: datetime) -> Accounts:
        """Lock and read the accounts that these messages are about."""
        return await store.load(connection, {touched for message in messages for touched in _touches(message.fact)})

    def handle(self, state: Accounts, message: Message, now: datetime) -> Sequence[Announcement]:
        """Decide one message."""
        account = state.now[message.fact.subject]
        try:
            step = decide(account, message, now, self._limits)
        except Conflict as error:
            raise Refused(str(error)) from None
        state.advance(step)
        return [Announcement(fact, _trace(step.account, fact)) for fact in step.facts]

    async def save(self, connection: AsyncConnection, state: Accounts) -> None:
        """Keep what changed."""
        await store.save(connection, state)

    async def due(self, connection: AsyncConnection) -> Sequence[Fact]:
        """Accounts with a deadline that has passed."""
        return [DeadlinePassed(account_id=each) for each in await store.due(connection, DUE_TOGETHER_MAX)]


def decide(account: Account, message: Message, now: datetime, limits: Limits) -> Step:
    """What the message makes of the account."""
    cause = message.fact.type

    def waiting(operation_id: UUID, kind: OperationKind, size: int, wait_s: float | None = None) -> Operation:
        until = now + timedelta(seconds=wait_s) if wait_s else None
        return Operation(operation_id, 0, kind, size, "waiting", until, cause=cause, trace=message.trace)

    match message.fact:
        case OpenAccount():
            return open_account(account)
        case CreditAccount() as credit:
            return arrive(account, waiting(credit.credit_id, "credit", credit.amount), credit.after, now, limits)
        case OrderPlaced() as order:
            reserve = waiting(order.order_id, "reserve", order.amount, order.hold_s)
            return arrive(account, reserve, order.after, now, limits)
        case PromoClaimed(effect=Multiply(factor=factor)) as promo:
            return arrive(
                account, waiting(promo.redemption_id, "multiply", factor, promo.wait_s), promo.after, now, limits
            )
        case PromoClaimed(effect=Bonus(amount=amount)) as promo:
            return arrive(
                account, waiting(promo.redemption_id, "bonus", amount, promo.wait_s), promo.after, now, limits
            )
        case OrderConfirmed() as order:
            return capture(account, order.order_id, now, cause)
        case OrderFailed() as order:
            return release(account, order.order_id, now, "order_failed", cause, ORDERS)
        case OrderCancelled() as order:
            return release(account, order.order_id, now, "cancelled", cause, ORDERS)
        case PromoRefused() as promo:
            return release(account, promo.redemption_id, now, "promo_refused", cause, PROMOS)
        case DeadlinePassed():
            return pass_time(account, now)
        case other:
            raise Refused(f"type: {other.type!r} is not handled by the user service")


def _touches(fact: Fact) -> set[tuple[str, UUID | None]]:
    """The account, and the operations that must be known to decide."""
    names: list[UUID] = [
        getattr(fact, each) for each in ("credit_id", "order_id", "redemption_id") if hasattr(fact, each)
    ]
    names += getattr(fact, "after", ())
    return {(fact.subject, None), *((fact.subject, name) for name in names)}


def _trace(account: Account, fact: Fact) -> str | None:
    """The trace of the fact's own saga: another one's settlement may be what answered it."""
    operation_id = getattr(fact, "operation_id", None)
    operation = account.find(operation_id) if operation_id else None
    return operation.trace if operation else None


def domain(settings: Settings) -> Domain[Accounts]:
    """The user service, as delivery sees it."""
    return Domain(
        service="user_service",
        facts=facts_for("user_service"),
        tables=delivery,
        handlers=AccountHandlers(Limits(settings.pending_max, settings.named_s)),
        answers=views.ANSWERS,
        gauges=views.gauges,
    )
