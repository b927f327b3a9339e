"""What an event can make of a gift: one move each, as the table in `gift.py` names them. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from contracts.events import CoinsRefused
from examples.gift_service.state import Gift, ending, question
from examples.gift_service.words import CancelGift, CancelGiftRefused, GiftState, SendGift
from holdfast.delivery.words import Fact

ASK_AGAIN_S_MAX = 3600.0
"""The longest pause before the user service is asked again, in seconds."""

WITHDRAWALS_MAX = 6
"""How often the receiver's room is given up, where nothing says that it is gone: the user service may never have heard
of it, and says nothing then."""

REASON_LENGTH_MAX = 180
"""Reasons are cut at this length, so that none is too long to be told."""


class Contradiction(Exception):
    """A message that contradicts what is known of the gift; the text says how. It has no effect."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a move looks at. `deadline_s`: of gifts that name none. `ask_again_s`: how long the first answer is waited
    for.
    """

    gift: Gift
    now: datetime
    deadline_s: float = 900.0
    ask_again_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Step:
    """What an event made of the gift, and what is announced. `again`: not 0 if `facts` are a question that is asked
    again for the n-th time.
    """

    gift: Gift
    facts: tuple[Fact, ...] = ()
    again: int = 0


Move = Callable[[Situation, Fact], Step]


def go(at: Situation, gift: Gift, *facts: Fact) -> Step:
    """The gift goes on to another state, in which a question waits for its answer."""
    return Step(replace(gift, asks=0, ask_again_at=at.now + timedelta(seconds=at.ask_again_s)), facts)


def end(gift: Gift, *facts: Fact) -> Step:
    return Step(replace(gift, deadline=None, after=(), asks=0, ask_again_at=None), facts)


def offer(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, SendGift)
    deadline_s = fact.deadline_s or at.deadline_s
    gift = replace(
        at.gift,
        account_id=fact.account_id,
        receiver_id=fact.receiver_id,
        amount=fact.amount,
        state="offered",
        began_at=at.now,
        deadline=at.now + timedelta(seconds=deadline_s),
        after=fact.after,
    )
    return go(at, gift, question(gift, at.now))


def offer_again(at: Situation, fact: Fact) -> Step:
    """The same command again is told how the gift ended; the same id for something else is a contradiction."""
    assert isinstance(fact, SendGift)
    gift = at.gift
    if gift.receiver_id is None and gift.account_id != fact.account_id:
        return offer(replace(at, gift=Gift(gift.id, trace=gift.trace)), fact)
    if gift.receiver_id is not None and (gift.account_id, gift.receiver_id, gift.amount) != (
        fact.account_id,
        fact.receiver_id,
        fact.amount,
    ):
        raise Contradiction(f"gift_id: {gift.id} was used for another gift; use a new id for each gift")
    return say_again(at, fact)


def say_again(at: Situation, fact: Fact) -> Step:
    """How the gift ended; nothing while it is open."""
    return Step(at.gift, tuple(ending(at.gift)))


def ask(state: GiftState) -> Move:
    """Go on to this state, and ask what is asked in it."""

    def move(at: Situation, fact: Fact) -> Step:
        deadline = at.gift.deadline if state == "announced" else None
        asked = at.gift.credits + (state in ("owed", "returning"))
        gift = replace(at.gift, state=state, deadline=deadline, after=(), credits=asked)
        return go(at, gift, question(gift, at.now))

    return move


def fail(at: Situation, reason: str) -> Step:
    return give_up(at, replace(at.gift, state="failed", reason=reason[:REASON_LENGTH_MAX]))


def give_up(at: Situation, ended: Gift) -> Step:
    """End the gift without effect. The room is given up until the user service says that it is gone: else it would be
    kept for a long time, and what the receiver does would wait for it.
    """
    if at.gift.state in ("announced", "sent"):
        step = end(ended, *ending(ended), question(ended, at.now))
        return replace(step, gift=replace(step.gift, ask_again_at=at.now + timedelta(seconds=at.ask_again_s)))
    return end(ended, *ending(ended))


def refused(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, CoinsRefused)
    return fail(at, fact.reason)


def receiver_refused(at: Situation, fact: Fact) -> Step:
    """There is no room at the receiver, so none is to be given up."""
    assert isinstance(fact, CoinsRefused)
    step = fail(at, f"receiver_{fact.reason}")
    return end(step.gift, *ending(step.gift))


def room_lost(at: Situation, fact: Fact) -> Step:
    """The receiver's room is gone before anything was paid."""
    step = fail(at, "receiver_reservation_expired")
    return end(step.gift, *ending(step.gift))


def released(at: Situation, fact: Fact) -> Step:
    return fail(at, "reservation_released")


def expired(at: Situation, fact: Fact) -> Step:
    return fail(at, "reservation_expired")


def complete(at: Situation, fact: Fact) -> Step:
    completed = replace(at.gift, state="completed")
    return end(completed, *ending(completed))


def send_back(at: Situation, fact: Fact) -> Step:
    """The receiver cannot be credited: credit the giver."""
    assert isinstance(fact, CoinsRefused)
    reason = f"receiver_{fact.reason}"[:REASON_LENGTH_MAX]
    return ask("returning")(replace(at, gift=replace(at.gift, reason=reason)), fact)


def returned(at: Situation, fact: Fact) -> Step:
    returned = replace(at.gift, state="returned")
    return end(returned, *ending(returned))


def return_later(at: Situation, fact: Fact) -> Step:
    """Neither can be credited now: ask for another credit to the giver, after a pause that grows."""
    asks = at.gift.asks + 1
    again_at = at.now + timedelta(seconds=pause_s(at, asks))
    return Step(replace(at.gift, credits=at.gift.credits + 1, asks=asks, ask_again_at=again_at))


def overdue(at: Situation, fact: Fact) -> Step:
    """Ask once more, and wait twice as long for the answer; nothing if another replica has just asked."""
    gift = at.gift
    if gift.ask_again_at is None or at.now < gift.ask_again_at:
        return Step(gift)
    asks = gift.asks + 1
    again_at = at.now + timedelta(seconds=pause_s(at, asks))
    ended = gift.state in ("failed", "cancelled")
    asked = replace(gift, asks=asks, ask_again_at=None if ended and asks == WITHDRAWALS_MAX else again_at)
    return Step(asked, (question(asked, at.now),), again=asks)


def pause_s(at: Situation, asks: int) -> float:
    doubled: float = at.ask_again_s * 2 ** min(asks, 32)
    return min(doubled, ASK_AGAIN_S_MAX)


def gone(at: Situation, fact: Fact) -> Step:
    """The receiver's room is gone, as it is to be."""
    return Step(replace(at.gift, asks=0, ask_again_at=None))


def keep_no_room(at: Situation, fact: Fact) -> Step:
    """The room was kept for a gift that has ended."""
    return Step(at.gift, (question(at.gift, at.now),))


def cancel(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, CancelGift)
    if at.gift.account_id != fact.account_id:
        return cancel_refused(at, fact, "other_account")
    return give_up(at, replace(at.gift, state="cancelled"))


def cancel_unknown(at: Situation, fact: Fact) -> Step:
    """The cancel overtook its gift: a tombstone waits for it."""
    assert isinstance(fact, CancelGift)
    return cancel(replace(at, gift=replace(at.gift, account_id=fact.account_id, began_at=at.now)), fact)


def cancel_late(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, CancelGift)
    known = at.gift.account_id == fact.account_id
    return cancel_refused(at, fact, at.gift.state if known else "other_account")


def cancel_again(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, CancelGift)
    return say_again(at, fact) if at.gift.account_id == fact.account_id else cancel_late(at, fact)


def cancel_refused(at: Situation, fact: CancelGift, reason: str) -> Step:
    return Step(at.gift, (CancelGiftRefused(gift_id=at.gift.id, account_id=fact.account_id, reason=reason),))


def ignore(at: Situation, fact: Fact) -> Step:
    """Late or doubled: the gift has moved on."""
    return Step(at.gift)


def contradict(at: Situation, fact: Fact) -> Step:
    raise Contradiction(f"{fact.type} for gift {at.gift.id}, which is {at.gift.state}")


def came_twice(at: Situation, fact: Fact) -> Step:
    """The receiver's room was used; a contradiction if a credit has brought the coins as well."""
    return contradict(at, fact) if at.gift.credits else ignore(at, fact)


def room_was_gone(at: Situation, fact: Fact) -> Step:
    """The receiver's room is gone; a contradiction if it has brought the coins."""
    return ignore(at, fact) if at.gift.credits else contradict(at, fact)
