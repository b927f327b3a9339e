"""One line for each command and event, as people read it: when, whose, what, and the essentials."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never
from uuid import UUID

from rich.text import Text

from contracts import commands as c
from contracts import events as e
from contracts.roles import Bonus, Multiply
from holdfast.delivery.words import Fact

WIDTH_ACCOUNT, WIDTH_EVENT = 20, 20

COLOURS = {"commands": "cyan", "user": "green", "order": "magenta", "promo": "yellow"}
OTHER_COLOUR = "blue"
"""That of services which have joined the system since."""
ENDS_BADLY = ("coins.refused", "order.failed", "order.cancelled", "promo.refused", "coins.expired")


def short(id_: UUID | str) -> str:
    """Enough of an id to tell it from its neighbours."""
    return str(id_)[:8]


def line(offset_s: float, account: str, fact: Fact) -> Text:
    """The line of one message; `offset_s`: seconds since the watching began."""
    colour = "red" if fact.type in ENDS_BADLY else COLOURS.get(fact.exchange, OTHER_COLOUR)
    text = Text(f"{offset_s:8.3f}s  ", style="dim")
    text.append(f"{account:<{WIDTH_ACCOUNT}}  ", style="bold")
    text.append(f"{fact.type:<{WIDTH_EVENT}}  ", style=colour)
    return text.append(essentials(fact))


def effect(promo: Multiply | Bonus) -> str:
    """What a promo code does."""
    match promo:
        case Multiply(factor=factor):
            return f"x{factor}"
        case Bonus(amount=amount):
            return f"+{amount}"
        case _:
            assert_never(promo)


def availability(stock: int | None, external: bool) -> str:
    """How many pieces of an item there are, and whether others hand them over."""
    counted = [] if external and stock is None else [f"{stock or 0} in stock"]
    return ", ".join([*counted, *(["fulfilled externally"] if external else [])])


def essentials(fact: Fact) -> str:
    """What matters of a message beyond its type and account."""
    match fact:
        case c.CreditAccount() | c.PlaceOrder() | c.RedeemPromo() | c.CancelOrder():
            return _command(fact)
        case c.PutItem(item=item, price=price, stock=stock, fulfilment=fulfilment):
            return f"{item}: {price} coins, {availability(stock, fulfilment == 'external')}"
        case c.PutPromo(code=code):
            return f"{code}: {effect(fact.effect)}"
        case e.OperationWaiting() | e.OperationAccepted() | e.OrderWaiting() | e.PromoWaiting():
            return _waiting(fact)
        case e.CoinsMultiplied(factor=factor, added=added):
            return f"{short(fact.operation_id)} x{factor}: {added} coins added"
        case e.CoinsRefused(kind=kind, reason=reason):
            return f"{kind} {short(fact.operation_id)}: {reason}"
        case e.PromoRedeemed(added=added):
            return f"{short(fact.redemption_id)}: {added} coins added"
        case e.PromoClaimed():
            return f"{short(fact.redemption_id)}: {effect(fact.effect)}"
        case _:
            return _plain(fact)


def _command(fact: c.CreditAccount | c.PlaceOrder | c.RedeemPromo | c.CancelOrder) -> str:
    match fact:
        case c.CreditAccount(amount=amount):
            said = f"{short(fact.saga)} {amount} coins"
        case c.PlaceOrder(item=item, quantity=quantity):
            said = f"{short(fact.saga)} {quantity} x {item}"
        case c.RedeemPromo(code=code):
            said = f"{short(fact.saga)} {code}"
        case c.CancelOrder():
            return short(fact.saga)
        case _:
            assert_never(fact)
    return said + (f" after {', '.join(map(short, fact.after))}" if fact.after else "")


def _waiting(fact: e.OperationWaiting | e.OperationAccepted | e.OrderWaiting | e.PromoWaiting) -> str:
    ahead = ", ".join(map(short, fact.waits_for))
    match fact:
        case e.OperationWaiting(kind=kind):
            return f"{kind} {short(fact.saga)} waits for {ahead}"
        case e.OperationAccepted(kind=kind):
            return f"{kind} {short(fact.saga)} is accepted and waits for {ahead}"
        case e.OrderWaiting(item=item):
            return f"{short(fact.saga)} {item} waits for {ahead}"
        case e.PromoWaiting():
            return f"{short(fact.saga)} waits for {ahead}"
        case _:
            assert_never(fact)


def _plain(fact: Fact) -> str:
    """The saga, then amount, item and reason where there are any."""
    words = [short(fact.saga)] if fact.saga != fact.subject or not hasattr(fact, "account_id") else []
    if (amount := getattr(fact, "amount", None)) is not None:
        words.append(f"{amount} coins")
    if item := getattr(fact, "item", None):
        words.append(f"{getattr(fact, 'quantity', 1)} x {item}")
    if deadline := getattr(fact, "deadline", None):
        words.append(f"until {_clock(deadline)}")
    if reason := getattr(fact, "reason", None):
        words.append(str(reason))
    return " ".join(words)


def _clock(at: datetime) -> str:
    return at.astimezone().strftime("%H:%M:%S")
