"""One gift through its states, as a table of what every state does with every event. Pure: no I/O, no clock.

Before `sent` everything can be undone. The capture of the giver's coins is the pivot: it can still fail, and then the
receiver has nothing yet. After it the coins have left the giver, and the gift goes on until somebody has them: the
receiver by the room that was kept, else by a credit, else the giver by a credit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from contracts.base import Fact
from contracts.events import (
    CoinsCaptured,
    CoinsCredited,
    CoinsExpired,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
)
from examples.gift_service.facts import AnswerOverdue, DeadlinePassed, Side
from examples.gift_service.state import Gift, State, ending, question
from examples.gift_service.words import CancelGift, CancelGiftRefused, GiftState, SendGift

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
Told = type[Fact] | tuple[Side, type[Fact]]
"""What can happen to a gift: a message, or an answer about one of its operations."""


def decide(at: Situation, fact: Fact, side: Side | None = None) -> Step:
    """What the fact makes of the gift; `side`: the operation that it answers. A deadline that has passed has its effect
    first, whoever noticed. Raises `Contradiction` where the fact cannot be true of the gift.
    """
    gift = at.gift
    told: Told = (side, type(fact)) if side else type(fact)
    if gift.deadline and gift.deadline <= at.now:
        late = _fail(at, "deadline_passed")
        if isinstance(fact, DeadlinePassed):
            return late
        then = TABLE[late.gift.state][told](replace(at, gift=late.gift), fact)
        said = {each.announcement_id: each for each in (*late.facts, *then.facts)}
        return replace(then, facts=tuple(said.values()))
    return TABLE[gift.state][told](at, fact)


def _go(at: Situation, gift: Gift, *facts: Fact) -> Step:
    """The gift goes on to another state, in which a question waits for its answer."""
    return Step(replace(gift, asks=0, ask_again_at=at.now + timedelta(seconds=at.ask_again_s)), facts)


def _end(gift: Gift, *facts: Fact) -> Step:
    return Step(replace(gift, deadline=None, after=(), asks=0, ask_again_at=None), facts)


def _offer(at: Situation, fact: Fact) -> Step:
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
    return _go(at, gift, question(gift, at.now))


def _offer_again(at: Situation, fact: Fact) -> Step:
    """The same command again is told how the gift ended; the same id for something else is a contradiction."""
    assert isinstance(fact, SendGift)
    gift = at.gift
    if gift.receiver_id is None and gift.account_id != fact.account_id:
        return _offer(replace(at, gift=Gift(gift.id, trace=gift.trace)), fact)
    if gift.receiver_id is not None and (gift.account_id, gift.receiver_id, gift.amount) != (
        fact.account_id,
        fact.receiver_id,
        fact.amount,
    ):
        raise Contradiction(f"gift_id: {gift.id} was used for another gift; use a new id for each gift")
    return _say_again(at, fact)


def _say_again(at: Situation, fact: Fact) -> Step:
    """How the gift ended; nothing while it is open."""
    return Step(at.gift, tuple(ending(at.gift)))


def _ask(state: GiftState) -> Move:
    """Go on to this state, and ask what is asked in it."""

    def move(at: Situation, fact: Fact) -> Step:
        deadline = at.gift.deadline if state == "announced" else None
        asked = at.gift.credits + (state in ("owed", "returning"))
        gift = replace(at.gift, state=state, deadline=deadline, after=(), credits=asked)
        return _go(at, gift, question(gift, at.now))

    return move


def _fail(at: Situation, reason: str) -> Step:
    return _give_up(at, replace(at.gift, state="failed", reason=reason[:REASON_LENGTH_MAX]))


def _give_up(at: Situation, ended: Gift) -> Step:
    """End the gift without effect. The room is given up until the user service says that it is gone: else it would be
    kept for a long time, and what the receiver does would wait for it.
    """
    if at.gift.state in ("announced", "sent"):
        step = _end(ended, *ending(ended), question(ended, at.now))
        return replace(step, gift=replace(step.gift, ask_again_at=at.now + timedelta(seconds=at.ask_again_s)))
    return _end(ended, *ending(ended))


def _refused(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, CoinsRefused)
    return _fail(at, fact.reason)


def _receiver_refused(at: Situation, fact: Fact) -> Step:
    """There is no room at the receiver, so none is to be given up."""
    assert isinstance(fact, CoinsRefused)
    step = _fail(at, f"receiver_{fact.reason}")
    return _end(step.gift, *ending(step.gift))


def _room_lost(at: Situation, fact: Fact) -> Step:
    """The receiver's room is gone before anything was paid."""
    step = _fail(at, "receiver_reservation_expired")
    return _end(step.gift, *ending(step.gift))


def _released(at: Situation, fact: Fact) -> Step:
    return _fail(at, "reservation_released")


def _expired(at: Situation, fact: Fact) -> Step:
    return _fail(at, "reservation_expired")


def _complete(at: Situation, fact: Fact) -> Step:
    completed = replace(at.gift, state="completed")
    return _end(completed, *ending(completed))


def _return(at: Situation, fact: Fact) -> Step:
    """The receiver cannot be credited: credit the giver."""
    assert isinstance(fact, CoinsRefused)
    reason = f"receiver_{fact.reason}"[:REASON_LENGTH_MAX]
    return _ask("returning")(replace(at, gift=replace(at.gift, reason=reason)), fact)


def _returned(at: Situation, fact: Fact) -> Step:
    returned = replace(at.gift, state="returned")
    return _end(returned, *ending(returned))


def _return_later(at: Situation, fact: Fact) -> Step:
    """Neither can be credited now: ask for another credit to the giver, after a pause that grows."""
    asks = at.gift.asks + 1
    again_at = at.now + timedelta(seconds=_pause_s(at, asks))
    return Step(replace(at.gift, credits=at.gift.credits + 1, asks=asks, ask_again_at=again_at))


def _overdue(at: Situation, fact: Fact) -> Step:
    """Ask once more, and wait twice as long for the answer; nothing if another replica has just asked."""
    gift = at.gift
    if gift.ask_again_at is None or at.now < gift.ask_again_at:
        return Step(gift)
    asks = gift.asks + 1
    again_at = at.now + timedelta(seconds=_pause_s(at, asks))
    ended = gift.state in ("failed", "cancelled")
    asked = replace(gift, asks=asks, ask_again_at=None if ended and asks == WITHDRAWALS_MAX else again_at)
    return Step(asked, (question(asked, at.now),), again=asks)


def _pause_s(at: Situation, asks: int) -> float:
    doubled: float = at.ask_again_s * 2 ** min(asks, 32)
    return min(doubled, ASK_AGAIN_S_MAX)


def _gone(at: Situation, fact: Fact) -> Step:
    """The receiver's room is gone, as it is to be."""
    return Step(replace(at.gift, asks=0, ask_again_at=None))


def _keep_no_room(at: Situation, fact: Fact) -> Step:
    """The room was kept for a gift that has ended."""
    return Step(at.gift, (question(at.gift, at.now),))


def _cancel(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, CancelGift)
    if at.gift.account_id != fact.account_id:
        return _cancel_refused(at, fact, "other_account")
    return _give_up(at, replace(at.gift, state="cancelled"))


def _cancel_unknown(at: Situation, fact: Fact) -> Step:
    """The cancel overtook its gift: a tombstone waits for it."""
    assert isinstance(fact, CancelGift)
    return _cancel(replace(at, gift=replace(at.gift, account_id=fact.account_id, began_at=at.now)), fact)


def _cancel_late(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, CancelGift)
    known = at.gift.account_id == fact.account_id
    return _cancel_refused(at, fact, at.gift.state if known else "other_account")


def _cancel_again(at: Situation, fact: Fact) -> Step:
    assert isinstance(fact, CancelGift)
    return _say_again(at, fact) if at.gift.account_id == fact.account_id else _cancel_late(at, fact)


def _cancel_refused(at: Situation, fact: CancelGift, reason: str) -> Step:
    return Step(at.gift, (CancelGiftRefused(gift_id=at.gift.id, account_id=fact.account_id, reason=reason),))


def _ignore(at: Situation, fact: Fact) -> Step:
    """Late or doubled: the gift has moved on."""
    return Step(at.gift)


def _contradict(at: Situation, fact: Fact) -> Step:
    raise Contradiction(f"{fact.type} for gift {at.gift.id}, which is {at.gift.state}")


def _came_twice(at: Situation, fact: Fact) -> Step:
    """The receiver's room was used; a contradiction if a credit has brought the coins as well."""
    return _contradict(at, fact) if at.gift.credits else _ignore(at, fact)


def _room_was_gone(at: Situation, fact: Fact) -> Step:
    """The receiver's room is gone; a contradiction if it has brought the coins."""
    return _ignore(at, fact) if at.gift.credits else _contradict(at, fact)


def _row(
    commands: tuple[Move, Move], asked: tuple[Move, Move], giver: Answers, receiver: Answers, credit: tuple[Move, Move]
) -> Mapping[Told, Move]:
    """`commands`: send, cancel. `asked`: the deadline, an overdue answer. `credit`: credited, refused."""
    row: dict[Told, Move] = dict(zip((SendGift, CancelGift), commands, strict=True))
    row |= zip((DeadlinePassed, AnswerOverdue), asked, strict=True)
    row |= {("giver", each): move for each, move in zip(ANSWERS, giver, strict=True)}
    row |= {("receiver", each): move for each, move in zip(ANSWERS, receiver, strict=True)}
    row |= {("credit", CoinsCredited): credit[0], ("credit", CoinsRefused): credit[1]}
    return row


Answers = tuple[Move, Move, Move, Move, Move]
ANSWERS: tuple[type[Fact], ...] = (CoinsReserved, CoinsRefused, CoinsCaptured, CoinsReleased, CoinsExpired)
"""The answers about a reservation."""

_NEVER: Answers = (_contradict, _contradict, _contradict, _contradict, _contradict)
_NO_CREDIT = (_contradict, _contradict)
_PAID: Answers = (_ignore, _contradict, _ignore, _contradict, _contradict)
"""The giver's coins have left."""
_ENDED: Answers = (_say_again, _ignore, _contradict, _ignore, _ignore)
"""The giver's coins stay with the giver."""
_NO_ROOM: Answers = (_keep_no_room, _gone, _contradict, _gone, _gone)
"""The receiver need not keep room."""
_LOST_ROOM: Answers = (_ignore, _ignore, _contradict, _ignore, _ignore)
"""The receiver's room was gone before the coins came."""

TABLE: Mapping[State, Mapping[Told, Move]] = {
    "unknown": _row((_offer, _cancel_unknown), (_ignore, _ignore), _NEVER, _NEVER, _NO_CREDIT),
    "offered": _row(
        (_offer_again, _cancel),
        (_ignore, _overdue),
        (_ask("announced"), _refused, _contradict, _released, _expired),
        _NEVER,
        _NO_CREDIT,
    ),
    "announced": _row(
        (_offer_again, _cancel),
        (_ignore, _overdue),
        (_ignore, _refused, _contradict, _released, _expired),
        (_ask("sent"), _receiver_refused, _contradict, _room_lost, _room_lost),
        _NO_CREDIT,
    ),
    "sent": _row(
        (_offer_again, _cancel_late),
        (_ignore, _overdue),
        (_ignore, _refused, _ask("delivered"), _released, _expired),
        (_ignore, _contradict, _contradict, _ignore, _ignore),
        _NO_CREDIT,
    ),
    "delivered": _row(
        (_offer_again, _cancel_late),
        (_ignore, _overdue),
        _PAID,
        (_ignore, _ask("owed"), _complete, _ask("owed"), _ask("owed")),
        _NO_CREDIT,
    ),
    "owed": _row((_offer_again, _cancel_late), (_ignore, _overdue), _PAID, _LOST_ROOM, (_complete, _return)),
    "returning": _row((_offer_again, _cancel_late), (_ignore, _overdue), _PAID, _LOST_ROOM, (_returned, _return_later)),
    "completed": _row(
        (_offer_again, _cancel_late),
        (_ignore, _ignore),
        _PAID,
        (_ignore, _room_was_gone, _came_twice, _room_was_gone, _room_was_gone),
        (_ignore, _contradict),
    ),
    "returned": _row((_offer_again, _cancel_late), (_ignore, _ignore), _PAID, _LOST_ROOM, (_ignore, _contradict)),
    "failed": _row((_offer_again, _cancel_late), (_ignore, _overdue), _ENDED, _NO_ROOM, _NO_CREDIT),
    "cancelled": _row((_offer_again, _cancel_again), (_ignore, _overdue), _ENDED, _NO_ROOM, _NO_CREDIT),
}
"""What every state does with every event: early, late and doubled ones included.

An answer about an operation of no gift never comes here. In `sent` the receiver's room may be gone already: whether
that matters, the giver's capture decides.
"""
