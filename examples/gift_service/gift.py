"""One gift through its states, as a table of what every state does with every event. Pure: no I/O, no clock.

Before `sent` everything can be undone. The capture of the giver's coins is the pivot: it can still fail, and then the
receiver has nothing yet. After it the coins have left the giver, and the gift goes on until somebody has them: the
receiver by the room that was kept, else by a credit, else the giver by a credit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from contracts.events import (
    CoinsCaptured,
    CoinsCredited,
    CoinsExpired,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
)
from examples.gift_service.facts import AnswerOverdue, DeadlinePassed, Side
from examples.gift_service.moves import (
    Move,
    Situation,
    Step,
    ask,
    came_twice,
    cancel,
    cancel_again,
    cancel_late,
    cancel_unknown,
    complete,
    contradict,
    expired,
    fail,
    gone,
    ignore,
    keep_no_room,
    offer,
    offer_again,
    overdue,
    receiver_refused,
    refused,
    released,
    return_later,
    returned,
    room_lost,
    room_was_gone,
    say_again,
    send_back,
)
from examples.gift_service.state import State
from examples.gift_service.words import CancelGift, SendGift
from holdfast.delivery.words import Fact

Told = type[Fact] | tuple[Side, type[Fact]]
"""What can happen to a gift: a message, or an answer about one of its operations."""


def decide(at: Situation, fact: Fact, side: Side | None = None) -> Step:
    """What the fact makes of the gift; `side`: the operation that it answers. A deadline that has passed has its effect
    first, whoever noticed. Raises `Contradiction` where the fact cannot be true of the gift.
    """
    gift = at.gift
    told: Told = (side, type(fact)) if side else type(fact)
    if gift.deadline and gift.deadline <= at.now:
        late = fail(at, "deadline_passed")
        if isinstance(fact, DeadlinePassed):
            return late
        then = TABLE[late.gift.state][told](replace(at, gift=late.gift), fact)
        said = {each.announcement_id: each for each in (*late.facts, *then.facts)}
        return replace(then, facts=tuple(said.values()))
    return TABLE[gift.state][told](at, fact)


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

_NEVER: Answers = (contradict, contradict, contradict, contradict, contradict)
_NO_CREDIT = (contradict, contradict)
_PAID: Answers = (ignore, contradict, ignore, contradict, contradict)
"""The giver's coins have left."""
_ENDED: Answers = (say_again, ignore, contradict, ignore, ignore)
"""The giver's coins stay with the giver."""
_NO_ROOM: Answers = (keep_no_room, gone, contradict, gone, gone)
"""The receiver need not keep room."""
_LOST_ROOM: Answers = (ignore, ignore, contradict, ignore, ignore)
"""The receiver's room was gone before the coins came."""

TABLE: Mapping[State, Mapping[Told, Move]] = {
    "unknown": _row((offer, cancel_unknown), (ignore, ignore), _NEVER, _NEVER, _NO_CREDIT),
    "offered": _row(
        (offer_again, cancel),
        (ignore, overdue),
        (ask("announced"), refused, contradict, released, expired),
        _NEVER,
        _NO_CREDIT,
    ),
    "announced": _row(
        (offer_again, cancel),
        (ignore, overdue),
        (ignore, refused, contradict, released, expired),
        (ask("sent"), receiver_refused, contradict, room_lost, room_lost),
        _NO_CREDIT,
    ),
    "sent": _row(
        (offer_again, cancel_late),
        (ignore, overdue),
        (ignore, refused, ask("delivered"), released, expired),
        (ignore, contradict, contradict, ignore, ignore),
        _NO_CREDIT,
    ),
    "delivered": _row(
        (offer_again, cancel_late),
        (ignore, overdue),
        _PAID,
        (ignore, ask("owed"), complete, ask("owed"), ask("owed")),
        _NO_CREDIT,
    ),
    "owed": _row((offer_again, cancel_late), (ignore, overdue), _PAID, _LOST_ROOM, (complete, send_back)),
    "returning": _row((offer_again, cancel_late), (ignore, overdue), _PAID, _LOST_ROOM, (returned, return_later)),
    "completed": _row(
        (offer_again, cancel_late),
        (ignore, ignore),
        _PAID,
        (ignore, room_was_gone, came_twice, room_was_gone, room_was_gone),
        (ignore, contradict),
    ),
    "returned": _row((offer_again, cancel_late), (ignore, ignore), _PAID, _LOST_ROOM, (ignore, contradict)),
    "failed": _row((offer_again, cancel_late), (ignore, overdue), _ENDED, _NO_ROOM, _NO_CREDIT),
    "cancelled": _row((offer_again, cancel_again), (ignore, overdue), _ENDED, _NO_ROOM, _NO_CREDIT),
}
"""What every state does with every event: early, late and doubled ones included.

An answer about an operation of no gift never comes here. In `sent` the receiver's room may be gone already: whether
that matters, the giver's capture decides.
"""
