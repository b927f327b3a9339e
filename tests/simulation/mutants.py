"""The rules of the system, each broken on purpose: switches for tests that show what the checks find.

Each takes pytest's monkeypatch, which mends the rule again. The document of each says what is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from contracts.base import Fact
from contracts.commands import CancelOrder, FulfilmentAccepted, PlaceOrder, PutItem
from contracts.events import (
    CancelRefused,
    CoinsCaptured,
    CoinsExpired,
    CoinsRefused,
    CoinsReserved,
    OperationKind,
    OrderFailed,
)
from messaging.message import Announcement
from order_service import handlers as order_handlers
from order_service import order as orders
from order_service.store import Orders
from promo_service import promo as promos
from tests.simulation.memory import MemoryNode
from tests.simulation.outbox import Outbox
from user_service import account as accounts
from user_service.account import Account, Limits, Step
from user_service.operation import Answer, Interval, Operation, answer, span

Break = Callable[[pytest.MonkeyPatch], None]


def _answered_at_one_end(patch: pytest.MonkeyPatch, kind: OperationKind, end: str) -> None:
    """Answer this kind as soon as one end of the interval says how."""

    def broken(operation: Operation, before: Interval) -> Operation:
        if operation.kind == kind:
            value = before.low if end == "low" else min(before.high, 10**6)
            before = Interval(value, value)
        return answered(operation, before)

    answered = accounts._answered
    patch.setattr(accounts, "_answered", broken)


def doubling_does_not_wait(patch: pytest.MonkeyPatch) -> None:
    """A multiply takes what is surely there."""
    _answered_at_one_end(patch, "multiply", "low")


def doubling_counts_coins_in_flight(patch: pytest.MonkeyPatch) -> None:
    """A multiply takes what may be there."""
    _answered_at_one_end(patch, "multiply", "high")


def reserve_is_refused_on_coins_that_may_come_back(patch: pytest.MonkeyPatch) -> None:
    """A reserve is refused as soon as the worst case is too little."""
    _answered_at_one_end(patch, "reserve", "low")


def later_hold_overtakes(patch: pytest.MonkeyPatch) -> None:
    """A reserve is granted on coins that an earlier one has set aside."""
    _answered_at_one_end(patch, "reserve", "high")


def _spanned(patch: pytest.MonkeyPatch, broken: Callable[[Operation, Interval], Interval | None]) -> None:
    patch.setattr(accounts, "span", lambda operation, before: broken(operation, before) or span(operation, before))


def reservation_does_not_count(patch: pytest.MonkeyPatch) -> None:
    """Coins in flight are counted as if they were free."""
    _spanned(patch, lambda operation, before: before if operation.state == "reserved" else None)


def reservation_counts_as_spent(patch: pytest.MonkeyPatch) -> None:
    """Coins in flight are counted as if they were gone."""

    def broken(operation: Operation, before: Interval) -> Interval | None:
        if operation.state != "reserved":
            return None
        return Interval(before.low - operation.size, before.high - operation.size)

    _spanned(patch, broken)


def waiting_doubling_does_not_count(patch: pytest.MonkeyPatch) -> None:
    """What waits is passed over as if it were not there."""
    _spanned(patch, lambda operation, before: before if operation.state == "waiting" else None)


def named_place_does_not_hold(patch: pytest.MonkeyPatch) -> None:
    """A place that is kept changes nothing for those behind it."""
    _spanned(patch, lambda operation, before: before if operation.state == "named" else None)


def after_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """No place is kept for what is named."""
    take_place = accounts._take_place

    def broken(account: Account, operation: Operation, _: Any, now: datetime, limits: Limits) -> Account:
        return take_place(account, operation, (), now, limits)

    patch.setattr(accounts, "_take_place", broken)


def newcomer_goes_first(patch: pytest.MonkeyPatch) -> None:
    """A new operation is put at the front of the log."""
    take_place = accounts._take_place

    def broken(account: Account, *arguments: Any) -> Account:
        log = take_place(account, *arguments).log
        placed = [replace(each, place=account.places + n + 1) for n, each in enumerate((*log[-1:], *log[:-1]))]
        return replace(account, log=tuple(placed), places=account.places + len(log))

    patch.setattr(accounts, "_take_place", broken)


def expiry_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """A reservation holds for ever."""
    pass_time = accounts.pass_time

    def broken(account: Account, now: datetime) -> Step:
        held = tuple(replace(each, deadline=None) if each.state == "reserved" else each for each in account.log)
        return pass_time(replace(account, log=held), now)

    patch.setattr(accounts, "pass_time", broken)
    patch.setattr("user_service.handlers.pass_time", broken)


def late_capture_is_accepted(patch: pytest.MonkeyPatch) -> None:
    """A capture counts although the deadline has passed, if nobody has noticed yet."""
    capture = accounts.capture

    def broken(account: Account, operation_id: UUID, now: datetime, cause: str) -> Step:
        known = account.find(operation_id)
        if known and known.state == "expired":
            late = replace(known, state="captured", delta=-known.size)
            past = {**account.past, known.id: late}
            return Step(replace(account, past=past), accounts._said(account.id, late))
        return capture(account, operation_id, now, cause)

    patch.setattr("user_service.handlers.capture", broken)


def capture_of_an_expired_one_says_captured(patch: pytest.MonkeyPatch) -> None:
    """The order is told that it is paid, and is not."""
    capture = accounts.capture

    def broken(account: Account, operation_id: UUID, now: datetime, cause: str) -> Step:
        step = capture(account, operation_id, now, cause)
        told = tuple(
            CoinsCaptured(account_id=each.account_id, operation_id=each.operation_id, amount=each.amount)
            if isinstance(each, CoinsExpired) and each.operation_id == operation_id
            else each
            for each in step.facts
        )
        return replace(step, facts=told)

    patch.setattr("user_service.handlers.capture", broken)


def _settled(patch: pytest.MonkeyPatch, change: Callable[[Operation], Operation]) -> None:
    put, over = accounts._put, accounts._over
    patch.setattr(accounts, "_put", lambda account, operation: put(account, change(operation)))
    patch.setattr(accounts, "_over", lambda operation: change(over(operation)))


def captured_coins_stay(patch: pytest.MonkeyPatch) -> None:
    """A capture takes nothing."""
    _settled(patch, lambda each: replace(each, delta=0) if each.state == "captured" else each)


def released_coins_come_twice(patch: pytest.MonkeyPatch) -> None:
    """A release gives the coins back that were never taken from the balance."""
    _settled(patch, lambda each: replace(each, delta=each.size) if each.state == "released" else each)


def expired_coins_are_lost(patch: pytest.MonkeyPatch) -> None:
    """An expiry takes the coins that it should free."""
    _settled(patch, lambda each: replace(each, delta=-each.size) if each.state == "expired" else each)


def waiting_outlives_its_deadline(patch: pytest.MonkeyPatch) -> None:
    """An effect that waits, waits on after its deadline."""
    pass_time = accounts.pass_time

    def broken(account: Account, now: datetime) -> Step:
        patient = tuple(
            replace(each, deadline=None) if each.state == "waiting" and each.kind != "reserve" else each
            for each in account.log
        )
        return pass_time(replace(account, log=patient), now)

    patch.setattr(accounts, "pass_time", broken)
    patch.setattr("user_service.handlers.pass_time", broken)


def wait_is_promised_too_short(patch: pytest.MonkeyPatch) -> None:
    """The latest time of an answer is told five seconds early."""
    waits_for = accounts.waits_for

    def broken(account: Account, operation_id: UUID) -> tuple[tuple[UUID, ...], datetime | None, int]:
        ahead, until, position = waits_for(account, operation_id)
        return ahead, until - timedelta(seconds=5) if until else None, position

    patch.setattr(accounts, "waits_for", broken)


def tombstone_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A cancel that overtakes its order leaves nothing behind."""
    release = accounts.release

    def broken(account: Account, operation_id: UUID, *arguments: Any) -> Step:
        return release(account, operation_id, *arguments) if account.find(operation_id) else Step(account)

    patch.setattr("user_service.handlers.release", broken)


def finished_is_folded_behind_an_open_one(patch: pytest.MonkeyPatch) -> None:
    """What is settled leaves the log although something ahead of it is open."""
    fold = accounts._fold

    def broken(account: Account) -> Step:
        finished = tuple(each for each in account.log if not each.is_open)
        still_open = tuple(each for each in account.log if each.is_open)
        return fold(replace(account, log=(*finished, *still_open)))

    patch.setattr(accounts, "_fold", broken)


def _answers(patch: pytest.MonkeyPatch, kind: OperationKind, change: Callable[[Answer, int, int], Answer]) -> None:
    def broken(asked: OperationKind, size: int, balance: int) -> Answer:
        given = answer(asked, size, balance)
        return change(given, size, balance) if asked == kind else given

    patch.setattr(accounts, "answer", broken)


def doubling_adds_once_too_often(patch: pytest.MonkeyPatch) -> None:
    """A factor of two adds twice the balance."""
    _answers(patch, "multiply", lambda given, size, balance: replace(given, delta=balance * size))


def bonus_is_given_twice(patch: pytest.MonkeyPatch) -> None:
    """A bonus adds double what it says."""
    _answers(patch, "bonus", lambda given, size, balance: replace(given, delta=2 * size))


def exact_coins_are_refused(patch: pytest.MonkeyPatch) -> None:
    """A purchase that takes the last coin is refused."""

    def change(given: Answer, size: int, balance: int) -> Answer:
        return Answer("refused", reason="insufficient_coins") if balance == size else given

    _answers(patch, "reserve", change)


def operation_is_not_recognised(patch: pytest.MonkeyPatch) -> None:
    """An operation that arrives again under a new message has its effect again."""
    arrive = accounts.arrive

    def broken(account: Account, operation: Operation, *arguments: Any) -> Step:
        known = account.find(operation.id)
        if known and known.state == "credited":
            past = {key: each for key, each in account.past.items() if key != operation.id}
            log = tuple(each for each in account.log if each.id != operation.id)
            account = replace(account, past=past, log=log)
        return arrive(account, operation, *arguments)

    patch.setattr("user_service.handlers.arrive", broken)


def repeated_answer_differs(patch: pytest.MonkeyPatch) -> None:
    """What is asked again is told that the id is used."""

    def broken(account: Account, known: Operation, again: Operation) -> tuple[Fact, ...]:
        kind = again.kind or "reserve"
        return (CoinsRefused(account_id=account.id, operation_id=known.id, kind=kind, reason="id_used"),)

    patch.setattr(accounts, "_answer_again", broken)


def _moved(patch: pytest.MonkeyPatch, row: Mapping[type[Fact], Any], fact: type[Fact], move: Any) -> None:
    """Replace one move of a table."""
    patch.setitem(cast(dict[type[Fact], Any], row), fact, move)


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
    """An order that fails after it took goods does not put them back."""
    fail = orders._fail
    patch.setattr(orders, "_fail", lambda at, reason: replace(fail(at, reason), item=at.item))


def goods_are_never_taken(patch: pytest.MonkeyPatch) -> None:
    """Stock is checked, and not taken."""
    confirm = orders._confirm

    def broken(at: orders.Situation, fact: Fact) -> orders.Step:
        if at.item and at.order.fulfilment == "instant":
            at = replace(at, item=replace(at.item, stock=at.item.stock + at.order.quantity))
        return confirm(at, fact)

    patch.setattr(orders, "_confirm", broken)


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


def asks_again_under_the_same_id(patch: pytest.MonkeyPatch) -> None:
    """A question that is asked again is a message that the inbox knows."""
    patch.setattr(Announcement, "id", property(lambda self: self.fact.announcement_id))


def use_of_a_code_is_kept(patch: pytest.MonkeyPatch) -> None:
    """A use is not given back when the account refuses the effect."""
    patch.setattr(promos, "_give_back", lambda at, fact: promos._refuse(at, fact.reason, at.promo))
    _moved(patch, promos.TABLE["claimed"], CoinsRefused, promos._give_back)


def code_is_redeemed_twice(patch: pytest.MonkeyPatch) -> None:
    """An account may use a code as often as it likes."""
    why_not = promos._why_not
    patch.setattr(promos, "_why_not", lambda at: why_not(replace(at, taken=False)))


def code_has_no_limit(patch: pytest.MonkeyPatch) -> None:
    """The number of uses is not looked at."""
    why_not = promos._why_not

    def broken(at: promos.Situation) -> str | None:
        return why_not(replace(at, promo=replace(at.promo, uses_max=None) if at.promo else None))

    patch.setattr(promos, "_why_not", broken)


def redeemed_coins_are_told_wrong(patch: pytest.MonkeyPatch) -> None:
    """The promo service says one coin more than was added."""
    for name in ("CoinsMultiplied", "CoinsCredited"):
        kind: Any = getattr(promos, name)
        take_effect = promos.TABLE["claimed"][kind]

        def broken(at: promos.Situation, fact: Fact, move: promos.Move = take_effect) -> promos.Step:
            step = move(at, fact)
            return replace(step, redemption=replace(step.redemption, added=(step.redemption.added or 0) + 1))

        _moved(patch, promos.TABLE["claimed"], kind, broken)


def inbox_knows_nothing(patch: pytest.MonkeyPatch) -> None:
    """No dedupe: every message is new."""
    patch.setattr(MemoryNode, "_is_known", lambda self, key: False)


def inbox_is_noted_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """A message counts as handled although the transaction that handled it died."""
    handle = MemoryNode.handle

    async def broken(self: MemoryNode, batch: Sequence[Any], now: datetime, reached: Any) -> None:
        known = {(event.id.int, each.parcel.exchange) for each in batch for event in each.parcel.events}
        try:
            await handle(self, batch, now, reached)
        finally:
            self._inbox |= known

    patch.setattr(MemoryNode, "handle", broken)


def outbox_is_only_in_memory(patch: pytest.MonkeyPatch) -> None:
    """What a process had not published dies with it."""

    async def broken(self: MemoryNode) -> None:
        self._outbox = Outbox()

    patch.setattr(MemoryNode, "restart", broken)


def outbox_is_deleted_before_the_confirm(patch: pytest.MonkeyPatch) -> None:
    """A message is forgotten as soon as it is sent."""
    relay = MemoryNode.relay

    async def broken(self: MemoryNode, publish: Any, now: datetime, reached: Any) -> bool:
        return await relay(self, lambda parcel: publish(parcel) or True, now, reached)

    patch.setattr(MemoryNode, "relay", broken)


def _lost_at_a_crash(patch: pytest.MonkeyPatch, name: str) -> None:
    """What was announced under this name, and not published when the process died, is forgotten."""
    restart = Outbox.restart

    def broken(self: Outbox) -> None:
        restart(self)
        self._kept = {number: kept for number, kept in self._kept.items() if kept.parcel.routing_key != name}

    patch.setattr(Outbox, "restart", broken)


def reservations_are_lost_at_a_crash(patch: pytest.MonkeyPatch) -> None:
    """Coins are set aside, and whoever asked hears of it only if nobody dies."""
    _lost_at_a_crash(patch, "coins.reserved")


def requests_are_lost_at_a_crash(patch: pytest.MonkeyPatch) -> None:
    """A warehouse is asked only if nobody dies."""
    _lost_at_a_crash(patch, "fulfilment.requested")


def sweep_deletes_what_was_not_confirmed(patch: pytest.MonkeyPatch) -> None:
    """What a crash left behind is sent once, whatever becomes of it."""
    sweep, publish = Outbox._sweep, Outbox._publish

    def confirmed(self: Outbox, numbers: Sequence[int]) -> tuple[Sequence[int], list[int]]:
        publish(self, numbers)
        return numbers, []

    def broken(self: Outbox, now: datetime, age_s: float) -> None:
        with pytest.MonkeyPatch.context() as meanwhile:
            meanwhile.setattr(Outbox, "_publish", confirmed)
            sweep(self, now, age_s)

    patch.setattr(Outbox, "_sweep", broken)


def _arriving(
    patch: pytest.MonkeyPatch, kind: OperationKind, change: Callable[[Operation, datetime], Operation]
) -> None:
    """Change what arrives, of this kind."""
    arrive = accounts.arrive

    def broken(account: Account, operation: Operation, after: Any, now: datetime, limits: Limits) -> Step:
        changed = change(operation, now) if operation.kind == kind else operation
        return arrive(account, changed, after, now, limits)

    patch.setattr("user_service.handlers.arrive", broken)


def refusals_of_a_cancel_are_one_message(patch: pytest.MonkeyPatch) -> None:
    """A cancel that is refused twice, for two reasons, says both under one message id."""
    patch.setattr(CancelRefused, "identity_fields", ())


def credit_adds_one_too_many(patch: pytest.MonkeyPatch) -> None:
    """A credit is a coin larger than was asked for."""
    _arriving(patch, "credit", lambda each, _: replace(each, size=each.size + 1))


def doubling_triples(patch: pytest.MonkeyPatch) -> None:
    """A multiply takes a larger factor than its code's."""
    _arriving(patch, "multiply", lambda each, _: replace(each, size=each.size + 1))


def doubling_hardly_waits(patch: pytest.MonkeyPatch) -> None:
    """A multiply is refused where it should wait for the reservations ahead."""
    _arriving(patch, "multiply", lambda each, now: replace(each, deadline=now + timedelta(seconds=0.001)))


def reservation_hardly_holds(patch: pytest.MonkeyPatch) -> None:
    """A reservation expires long before its deadline."""
    _arriving(patch, "reserve", lambda each, now: replace(each, deadline=now + timedelta(seconds=0.001)))


def some_are_refused_at_the_door(patch: pytest.MonkeyPatch) -> None:
    """Operations are refused for a limit that they are far from."""
    not_admitted = accounts._not_admitted

    def broken(account: Account, operation: Operation, *rest: Any) -> str | None:
        return "pending_limit" if operation.id.int % 3 == 0 else not_admitted(account, operation, *rest)

    patch.setattr(accounts, "_not_admitted", broken)


def goods_cost_one_more(patch: pytest.MonkeyPatch) -> None:
    """An order asks for a coin more than its price."""
    place = orders.TABLE["unknown"][PlaceOrder]

    def broken(at: orders.Situation, fact: Fact) -> orders.Step:
        dearer = replace(at.item, price=at.item.price + 1) if at.item else None
        return replace(place(replace(at, item=dearer), fact), item=at.item)

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
        step = complete(at, fact)
        failed = OrderFailed(order_id=at.order.id, account_id=at.order.account_id, reason="rejected")
        return replace(step, facts=(failed,))

    _moved(patch, orders.TABLE["confirmed"], CoinsCaptured, broken)


def wait_has_no_end(patch: pytest.MonkeyPatch) -> None:
    """What waits, waits for ever, and is told so."""
    waiting_outlives_its_deadline(patch)
    waits_for = accounts.waits_for
    patch.setattr(accounts, "waits_for", lambda *of: (waits_for(*of)[0], None, waits_for(*of)[2]))


def coin_is_lost_in_folding(patch: pytest.MonkeyPatch) -> None:
    """The balance takes another way than the ledger."""
    fold = accounts._fold

    def broken(account: Account) -> Step:
        step = fold(account)
        lost = bool(step.lines) and step.account.balance > 0
        return replace(step, account=replace(step.account, balance=step.account.balance - lost))

    patch.setattr(accounts, "_fold", broken)


def settling_answers_nobody(patch: pytest.MonkeyPatch) -> None:
    """What waits is answered by its own deadline alone, and is told so."""
    answered, settle, waits_for = accounts._answered, accounts._settle, accounts.waits_for
    arriving: list[Any] = []

    def broken_settle(account: Account, arrived: Any = None, facts: tuple[Fact, ...] = ()) -> Step:
        arriving[:] = [arrived]
        return settle(account, arrived, facts)

    def broken(operation: Operation, before: Interval) -> Operation:
        waits_on = operation.state == "waiting" and operation.id not in arriving
        return operation if waits_on else answered(operation, before)

    def told(account: Account, operation_id: UUID) -> tuple[tuple[UUID, ...], datetime | None, int]:
        ahead, _, position = waits_for(account, operation_id)
        own = account.find(operation_id)
        return ahead, own.deadline if own else None, position

    patch.setattr(accounts, "_settle", broken_settle)
    patch.setattr(accounts, "_answered", broken)
    patch.setattr(accounts, "waits_for", told)


def _waiting_on_any_doubt(patch: pytest.MonkeyPatch, kind: OperationKind) -> None:
    answered = accounts._answered

    def broken(operation: Operation, before: Interval) -> Operation:
        doubtful = operation.kind == kind and before.low != before.high
        return operation if doubtful else answered(operation, before)

    patch.setattr(accounts, "_answered", broken)


def bonus_waits(patch: pytest.MonkeyPatch) -> None:
    """A bonus waits for the reservations ahead, as a doubling does."""
    _waiting_on_any_doubt(patch, "bonus")


def reserve_waits_for_what_is_certain(patch: pytest.MonkeyPatch) -> None:
    """A reserve waits although the coins surely suffice."""
    _waiting_on_any_doubt(patch, "reserve")


def reservation_holds_too_long(patch: pytest.MonkeyPatch) -> None:
    """A reservation outlives the deadline that its client named."""
    _arriving(patch, "reserve", lambda each, _: replace(each, deadline=_later(each.deadline)))


def _later(deadline: datetime | None) -> datetime | None:
    return deadline + timedelta(seconds=3000) if deadline else None


def reservation_is_never_told(patch: pytest.MonkeyPatch) -> None:
    """Coins are set aside, and nobody hears of it."""
    said = accounts._said
    patch.setattr(accounts, "_said", lambda account, each: () if each.state == "reserved" else said(account, each))


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


def limited_codes_are_never_accepted(patch: pytest.MonkeyPatch) -> None:
    """A code counts as used up from the beginning."""
    why_not = promos._why_not

    def broken(at: promos.Situation) -> str | None:
        return "used_up" if at.promo and at.promo.uses_max is not None else why_not(at)

    patch.setattr(promos, "_why_not", broken)


def put_acts_again(patch: pytest.MonkeyPatch) -> None:
    """An item is put once more by a message that the inbox has forgotten, with the stock that it had then."""
    put = order_handlers._put

    def broken(state: Orders, key: UUID, fact: PutItem) -> None:
        state.puts.discard(key)
        put(state, key, fact)

    patch.setattr(order_handlers, "_put", broken)


def broken_rules() -> list[Break]:
    """All of them, in the order above."""
    return [
        value
        for name, value in globals().items()
        if callable(value) and getattr(value, "__module__", "") == __name__ and not name.startswith("_")
        if name != "broken_rules"
    ]
