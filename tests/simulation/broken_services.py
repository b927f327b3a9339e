"""What the services do with messages, broken on purpose. Each function breaks one thing; its document says what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid5

import pytest

import user_service.handlers as users
from contracts.commands import CancelOrder, CreditAccount, FulfilmentAccepted, PlaceOrder, PutItem, RedeemPromo
from contracts.events import (
    CoinsCaptured,
    CoinsCredited,
    CoinsExpired,
    CoinsMultiplied,
    CoinsRefused,
    CoinsReserved,
    OperationEvent,
    OrderFailed,
)
from contracts.topology import SHOP
from holdfast.delivery.message import Announcement, Message
from holdfast.delivery.words import Fact, Service
from holdfast.entities import views
from holdfast.entities.entities import Entities
from holdfast.pending import Entity, Operation
from order_service import order as orders
from order_service import stock
from order_service.handlers import OrderHandlers
from promo_service import promo as promos
from promo_service import uses
from promo_service.claims import Claims
from promo_service.uses import Take, UseAwaited, UseFact
from tests.simulation import guest, world
from user_service import answers
from user_service.kinds import KINDS


def _moved(patch: pytest.MonkeyPatch, row: Mapping[type[Fact], Any], fact: type[Fact], move: Any) -> None:
    """Replace one move of a table."""
    patch.setitem(cast(dict[type[Fact], Any], row), fact, move)


# --- accounts


def _answering(patch: pytest.MonkeyPatch, answer: Callable[[Operation[int], Fact | None], Fact | None]) -> None:
    """Tell something else of an operation."""
    right = answers.answer

    def broken(account_id: str, account: Any, operation: Operation[int]) -> Fact | None:
        return answer(operation, right(account_id, account, operation))

    patch.setattr(users, "answer", broken)


def reservation_is_never_told(patch: pytest.MonkeyPatch) -> None:
    """Coins are set aside, and nobody hears of it."""
    _answering(patch, lambda _, fact: None if isinstance(fact, CoinsReserved) else fact)


def waiting_is_never_told(patch: pytest.MonkeyPatch) -> None:
    """An operation waits, and nobody hears of it."""
    _answering(patch, lambda each, fact: None if each.status in ("outside", "waiting") else fact)


def strangers_answer_is_swallowed(patch: pytest.MonkeyPatch) -> None:
    """Only the services of the shop are answered."""
    _answering(patch, lambda each, fact: None if each.note.asked_by == guest.EXCHANGE else fact)


def wait_is_promised_too_short(patch: pytest.MonkeyPatch) -> None:
    """The latest time of an answer is told five seconds early."""
    waits = views.waits

    def broken(*of: Any) -> Any:
        for each in waits(*of):
            yield each._replace(until=each.until - timedelta(seconds=5) if each.until else None)

    patch.setattr(views, "waits", broken)


def capture_of_an_expired_one_says_captured(patch: pytest.MonkeyPatch) -> None:
    """The order is told that it is paid, and is not."""
    capture = users._capture

    def broken(state: Entities, fact: Any, now: datetime) -> list[Announcement]:
        return [replace(each, fact=_paid(each.fact, fact)) for each in capture(state, fact, now)]

    patch.setattr(users, "_capture", broken)


def _paid(told: Fact, asked: Fact) -> Fact:
    if not isinstance(told, CoinsExpired) or told.operation_id != users.operation_of(asked):
        return told
    return CoinsCaptured(**told.model_dump())


def operation_is_not_recognised(patch: pytest.MonkeyPatch) -> None:
    """A credit that arrives again under a new message has its effect again."""
    decide = users.decide

    def broken(state: Entities, message: Message, *rest: Any) -> list[Announcement]:
        if isinstance(message.fact, CreditAccount):
            message = replace(message, fact=message.fact.model_copy(update={"credit_id": _other(state, message.fact)}))
        return decide(state, message, *rest)

    patch.setattr(users, "decide", broken)


def _other(state: Entities, fact: CreditAccount) -> UUID:
    """The id, or another one if it is known."""
    credit_id = fact.credit_id
    while state.at[fact.account_id].find(credit_id):
        credit_id = uuid5(credit_id, "again")
    return credit_id


def repeated_answer_differs(patch: pytest.MonkeyPatch) -> None:
    """What is asked again is told that the id is used."""

    def broken(_: Entities, account_id: str, operation_id: UUID, asked: Any) -> list[Announcement]:
        of = {"account_id": account_id, "operation_id": operation_id, "asked_by": asked.note.asked_by}
        return [Announcement(CoinsRefused(**of, kind=asked.kind.name, reason="id_used"))]

    patch.setattr(users, "_answer_again", broken)


def others_reservation_is_captured(patch: pytest.MonkeyPatch) -> None:
    """Whoever confirms a reservation has it captured, whose ever it is."""
    capture = users._capture

    def broken(state: Entities, fact: Any, now: datetime) -> list[Announcement]:
        known = state.at[fact.account_id].find(users.operation_of(fact))
        if known and known.kind and known.status == "reserved":
            outcome = state.settle(fact.account_id, users.operation_of(fact), now, fact.type)
            return users._announce(state, fact.account_id, outcome)
        return capture(state, fact, now)

    patch.setattr(users, "_capture", broken)


def others_reservation_is_released(patch: pytest.MonkeyPatch) -> None:
    """Whoever gives a reservation up has it released, whose ever it is."""
    give_up = users._give_up

    def broken(state: Entities, fact: Any, now: datetime) -> list[Announcement]:
        known = state.at[fact.account_id].find(users.operation_of(fact))
        if known and known.kind and known.status == "reserved":
            outcome = state.release(fact.account_id, users.operation_of(fact), now, fact.why, fact.type)
            return users._announce(state, fact.account_id, outcome)
        return give_up(state, fact, now)

    patch.setattr(users, "_give_up", broken)


def credit_adds_one_too_many(patch: pytest.MonkeyPatch) -> None:
    """A credit is a coin larger than was asked for."""
    credit = KINDS["credit"]
    patch.setattr(users, "KINDS", {**KINDS, "credit": lambda size: credit(size + 1)})


def wait_is_promised_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Whoever waits is not told until when, and what it waits for has no end."""
    waits = views.waits
    patch.setattr(views, "waits", lambda *of: (each._replace(until=None) for each in waits(*of)))
    deadline = Operation.deadline.fget  # type: ignore[attr-defined]
    patch.setattr(Operation, "deadline", property(lambda self: None if self.status == "waiting" else deadline(self)))


# --- orders and stock


def strangers_answer_is_acted_on_by_orders(patch: pytest.MonkeyPatch) -> None:
    """The order service gets the answers to others, too."""
    _misrouted(patch, "order_service")


def strangers_answer_is_acted_on_by_promos(patch: pytest.MonkeyPatch) -> None:
    """The promo service gets the answers to others, too."""
    _misrouted(patch, "promo_service")


def _misrouted(patch: pytest.MonkeyPatch, service: Service) -> None:
    for fact in (each for each in SHOP.facts_for(service).values() if issubclass(each, OperationEvent)):
        for asked_by in (guest.EXCHANGE, *SHOP.publishers):
            key = fact.exchange, f"{fact.type}.{asked_by}"
            patch.setitem(world.ROUTES, key, sorted({*world.ROUTES.get(key, ()), service}))


def cancel_after_the_pivot(patch: pytest.MonkeyPatch) -> None:
    """An order that is confirmed can still be cancelled."""
    _moved(patch, orders.TABLE["confirmed"], CancelOrder, orders._cancel)


def order_completes_before_it_is_paid(patch: pytest.MonkeyPatch) -> None:
    """A confirmed order counts as completed at once."""
    confirm = orders._confirm

    def broken(at: orders.Situation, fact: Fact) -> orders.Step:
        step = confirm(at, fact)
        return replace(step, order=replace(step.order, state="completed"))

    patch.setattr(orders, "_confirm", broken)


def expired_order_completes(patch: pytest.MonkeyPatch) -> None:
    """An order whose reservation expired is completed all the same."""
    _moved(patch, orders.TABLE["confirmed"], CoinsExpired, orders._complete)


def goods_stay_away(patch: pytest.MonkeyPatch) -> None:
    """An order that fails after it took goods does not give them back."""
    patch.setattr(orders, "_give_back", lambda *_: None)


def sold_goods_stay_in_flight(patch: pytest.MonkeyPatch) -> None:
    """The pieces of a completed order stay set aside."""
    complete = orders.TABLE["confirmed"][CoinsCaptured]
    _moved(patch, orders.TABLE["confirmed"], CoinsCaptured, lambda at, fact: replace(complete(at, fact), wish=None))


def others_answer_is_lost(patch: pytest.MonkeyPatch) -> None:
    """What an order's end means for those that wait for its pieces is told nobody."""
    carry_out = stock.carry_out

    def broken(goods: Entities, order: orders.Order, *rest: Any) -> list[Any]:
        return [each for each in carry_out(goods, order, *rest) if each[0] == order.id]

    patch.setattr(stock, "carry_out", broken)


def others_answer_is_lost_among_claims(patch: pytest.MonkeyPatch) -> None:
    """What a redemption's end means for those that wait for its use is told nobody."""
    do = Claims.do

    def broken(self: Claims, redemption: Any, want: Any) -> Sequence[UseFact]:
        return [each for each in do(self, redemption, want) if each.redemption_id == redemption.id]

    patch.setattr(Claims, "do", broken)


def waiting_for_pieces_is_never_told(patch: pytest.MonkeyPatch) -> None:
    """An order waits for pieces, and nobody hears of it."""
    patch.setattr(stock, "waiting", lambda *_: None)


def order_never_fails_in_time(patch: pytest.MonkeyPatch) -> None:
    """Neither an order's deadline nor the end of its reservation ends it."""
    for state in ("placed", "reserved"):
        _moved(patch, orders.TABLE[state], CoinsExpired, orders._ignore)
    decide = orders._decide

    def broken(at: orders.Situation, fact: Fact) -> orders.Step:
        return decide(replace(at, order=replace(at.order, deadline=at.now + timedelta(days=1))), fact)

    patch.setattr(orders, "_decide", broken)


def nobody_asks_again(patch: pytest.MonkeyPatch) -> None:
    """What a purge lost is not asked for again."""
    _moved(patch, orders.TABLE["confirmed"], orders.AnswerOverdue, orders._ignore)
    _moved(patch, promos.TABLE["claimed"], promos.AnswerOverdue, promos._ignore)


def goods_cost_one_more(patch: pytest.MonkeyPatch) -> None:
    """An order asks for a coin more than its price."""
    place = orders.TABLE["unknown"][PlaceOrder]

    def broken(at: orders.Situation, fact: Fact) -> orders.Step:
        return place(replace(at, item=replace(at.item, price=at.item.price + 20) if at.item else None), fact)

    _moved(patch, orders.TABLE["unknown"], PlaceOrder, broken)


def order_takes_its_time(patch: pytest.MonkeyPatch) -> None:
    """An order lasts longer than its client said."""
    place = orders.TABLE["unknown"][PlaceOrder]

    def broken(at: orders.Situation, fact: Fact) -> orders.Step:
        return place(at, fact.model_copy(update={"deadline_s": 850.0}))

    _moved(patch, orders.TABLE["unknown"], PlaceOrder, broken)


def completed_order_is_told_as_failed(patch: pytest.MonkeyPatch) -> None:
    """Who has paid hears that the order failed."""
    complete = orders.TABLE["confirmed"][CoinsCaptured]

    def broken(at: orders.Situation, fact: Fact) -> orders.Step:
        failed = OrderFailed(order_id=at.order.id, account_id=at.order.account_id, reason="rejected")
        return replace(complete(at, fact), facts=(failed,))

    _moved(patch, orders.TABLE["confirmed"], CoinsCaptured, broken)


def reserved_coins_are_overlooked(patch: pytest.MonkeyPatch) -> None:
    """An order does not go on when its coins are set aside."""
    _moved(patch, orders.TABLE["placed"], CoinsReserved, orders._ignore)


def warehouse_is_never_asked(patch: pytest.MonkeyPatch) -> None:
    """An order that others fulfil is told to nobody."""
    fulfil = orders.TABLE["placed"][CoinsReserved]

    def broken(at: orders.Situation, fact: Fact) -> orders.Step:
        step = fulfil(at, fact)
        return replace(step, facts=tuple(each for each in step.facts if each.type != "fulfilment.requested"))

    _moved(patch, orders.TABLE["placed"], CoinsReserved, broken)


def accepted_fulfilment_is_overlooked(patch: pytest.MonkeyPatch) -> None:
    """The warehouse says yes, and the order does not hear it."""
    for state in ("placed", "reserved"):
        _moved(patch, orders.TABLE[state], FulfilmentAccepted, orders._ignore)


def cancels_are_overlooked(patch: pytest.MonkeyPatch) -> None:
    """Who cancels hears nothing of it, and nothing comes of it."""
    for state in ("unknown", "placed", "reserved"):
        _moved(patch, orders.TABLE[state], CancelOrder, orders._ignore)


def scarce_goods_are_always_sold_out(patch: pytest.MonkeyPatch) -> None:
    """Orders fail for goods that are there."""
    fulfil = orders.TABLE["placed"][CoinsReserved]

    def broken(at: orders.Situation, fact: Fact) -> orders.Step:
        return orders._fail(at, "out_of_stock") if at.order.item == "scarce" else fulfil(at, fact)

    _moved(patch, orders.TABLE["placed"], CoinsReserved, broken)


def put_acts_again(patch: pytest.MonkeyPatch) -> None:
    """An item is put once more by a message that the inbox has forgotten, with the stock that it had then."""
    handle = OrderHandlers.handle

    def broken(self: OrderHandlers, state: Any, message: Message, now: datetime) -> Sequence[Announcement]:
        if isinstance(message.fact, PutItem):
            message = replace(message, key=uuid5(message.key, str(now)))
        return handle(self, state, message, now)

    patch.setattr(OrderHandlers, "handle", broken)


def put_takes_what_is_waited_for(patch: pytest.MonkeyPatch) -> None:
    """An operator takes pieces away on which an order that waits may count."""
    patch.setattr(Entity, "bounds", None)


# --- codes and redemptions


def use_of_a_code_is_kept(patch: pytest.MonkeyPatch) -> None:
    """A use is not given back when the account refuses the effect."""
    give_back = promos._give_back
    _moved(patch, promos.TABLE["claimed"], CoinsRefused, lambda at, fact: replace(give_back(at, fact), wants=()))


def code_is_redeemed_twice(patch: pytest.MonkeyPatch) -> None:
    """An account may use a code as often as it likes."""
    redeem = promos._redeem

    def broken(at: promos.Situation, fact: Fact) -> promos.Step:
        step = redeem(replace(at, taken=False), fact)
        return replace(step, wants=tuple(Take(each.use, 1000) for each in step.wants if isinstance(each, Take)))

    _moved(patch, promos.TABLE["unknown"], RedeemPromo, broken)


def use_of_a_refused_one_is_kept(patch: pytest.MonkeyPatch) -> None:
    """Whose code is used up has used his own claim all the same."""
    do_without = promos._do_without
    _moved(patch, promos.TABLE["waiting"], uses.UseRefused, lambda at, fact: replace(do_without(at, fact), wants=()))


def waiting_for_a_use_is_never_told(patch: pytest.MonkeyPatch) -> None:
    """A redemption waits for a use, and nobody hears of it."""
    wait = promos._await
    _moved(patch, promos.TABLE["waiting"], UseAwaited, lambda at, fact: replace(wait(at, fact), facts=()))


def redeemed_coins_are_told_wrong(patch: pytest.MonkeyPatch) -> None:
    """The promo service says one coin more than was added."""
    take_effect = promos._take_effect

    def broken(at: promos.Situation, fact: Fact) -> promos.Step:
        step = take_effect(at, fact)
        return replace(step, redemption=replace(step.redemption, added=(step.redemption.added or 0) + 1))

    for kind in (CoinsMultiplied, CoinsCredited):
        _moved(patch, promos.TABLE["claimed"], kind, broken)


def limited_codes_are_never_accepted(patch: pytest.MonkeyPatch) -> None:
    """A code counts as used up from the beginning."""
    redeem = promos._redeem

    def broken(at: promos.Situation, fact: Fact) -> promos.Step:
        is_limited = at.promo is not None and at.promo.uses_max is not None
        return redeem(replace(at, used_up=at.used_up or is_limited), fact)

    _moved(patch, promos.TABLE["unknown"], RedeemPromo, broken)


def code_has_no_limit(patch: pytest.MonkeyPatch) -> None:
    """The number of uses is not looked at."""
    redeem = promos._redeem

    def broken(at: promos.Situation, fact: Fact) -> promos.Step:
        return redeem(replace(at, used_up=False, promo=replace(at.promo, uses_max=None) if at.promo else None), fact)

    _moved(patch, promos.TABLE["unknown"], RedeemPromo, broken)
