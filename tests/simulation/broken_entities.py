"""The rule for any entity, broken on purpose. Each function breaks one thing; its document says what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from holdfast.entities.entities import Entities
from holdfast.pending import Entity, Kind, NumberKind, Operation, Outcome, entity
from holdfast.pending.entity import Log
from order_service.kinds import Take
from promo_service.kinds import Claim
from user_service.kinds import INSUFFICIENT, Bonus, Fee, Multiply, Receive, Reserve

Op = Operation[Any]


def _answered(patch: pytest.MonkeyPatch, kinds: tuple[type[Any], ...], answers: Callable[[Op, Any], set[Any]]) -> None:
    """Let a waiting operation of these kinds have these possible answers, given its hull."""
    possible_answers = entity.possible_answers

    def broken(waiting: Op, hull: Any, exact: Any) -> set[Any]:
        return answers(waiting, hull) if isinstance(waiting.kind, kinds) else possible_answers(waiting, hull, exact)

    patch.setattr(entity, "possible_answers", broken)


def _at_the_least(waiting: Op, hull: Any) -> set[Any]:
    return {waiting.kind.answer(hull.least)}  # type: ignore[union-attr]


def _at_the_most(waiting: Op, hull: Any) -> set[Any]:
    return {waiting.kind.answer(hull.greatest)}  # type: ignore[union-attr]


def _if_sure(waiting: Op, hull: Any) -> set[Any]:
    """No answer while there is any doubt about the state."""
    return _at_the_least(waiting, hull) if hull.least == hull.greatest else {"one", "other"}


def doubling_does_not_wait(patch: pytest.MonkeyPatch) -> None:
    """A multiply takes what is surely there."""
    _answered(patch, (Multiply,), _at_the_least)


def doubling_counts_coins_in_flight(patch: pytest.MonkeyPatch) -> None:
    """A multiply takes what may be there."""
    _answered(patch, (Multiply,), _at_the_most)


def reserve_is_refused_on_coins_that_may_come_back(patch: pytest.MonkeyPatch) -> None:
    """A reserve is refused as soon as the worst case is too little."""
    _answered(patch, (Reserve,), _at_the_least)


def later_hold_overtakes(patch: pytest.MonkeyPatch) -> None:
    """A reserve is granted on coins that an earlier one has set aside."""
    _answered(patch, (Reserve,), _at_the_most)


def scarce_item_is_oversold(patch: pytest.MonkeyPatch) -> None:
    """Pieces are granted to a second buyer while the first may still pay for them."""
    _answered(patch, (Take,), _at_the_most)


def scarce_item_is_refused_although_it_may_come_back(patch: pytest.MonkeyPatch) -> None:
    """A second buyer is refused while the first may still give the pieces back."""
    _answered(patch, (Take,), _at_the_least)


def second_claim_is_granted(patch: pytest.MonkeyPatch) -> None:
    """A use is granted to a second redemption while the first may still have it, of the account as of the code."""
    _answered(patch, (Claim,), _at_the_least)


def second_claim_is_refused(patch: pytest.MonkeyPatch) -> None:
    """A use is refused to a second redemption while the first may still give it back."""
    _answered(patch, (Claim,), _at_the_most)


def bonus_waits(patch: pytest.MonkeyPatch) -> None:
    """A bonus waits for the reservations ahead, as a doubling does."""
    _answered(patch, (Bonus,), _if_sure)


def reserve_waits_for_what_is_certain(patch: pytest.MonkeyPatch) -> None:
    """A reserve waits although the coins surely suffice."""
    _answered(patch, (Reserve,), _if_sure)


def take_waits_for_what_is_certain(patch: pytest.MonkeyPatch) -> None:
    """An order waits for others although there are pieces enough for all."""
    _answered(patch, (Take,), _if_sure)


def claim_waits_for_what_is_certain(patch: pytest.MonkeyPatch) -> None:
    """A redemption waits for others although there are uses enough for all."""
    _answered(patch, (Claim,), _if_sure)


def _possible(
    patch: pytest.MonkeyPatch, changed: Callable[[Op], Op | None], hull: Callable[[Op], bool] | None = None
) -> None:
    """Let an operation have the possible states, and sums, of another one; None: those of no operation."""
    possible, adds = Operation.possible, Operation.adds

    def broken_possible(self: Op, states: Collection[Any]) -> set[Any]:
        other = changed(self)
        return set(states) if other is None else possible(other, states)

    def broken_adds(self: Op) -> tuple[int, int] | None:
        other = changed(self)
        return (0, 0) if other is None else adds(other)

    patch.setattr(Operation, "possible", broken_possible)
    patch.setattr(Operation, "adds", broken_adds)


def _ended(operation: Op, end: int) -> Op:
    return replace(operation, status="settled", how="captured", end=end)


def reservation_does_not_count(patch: pytest.MonkeyPatch) -> None:
    """What is in flight is counted as if it were free."""
    _possible(patch, lambda each: None if each.status == "reserved" else each)


def reservation_counts_as_spent(patch: pytest.MonkeyPatch) -> None:
    """What is in flight is counted as if it were gone."""
    _possible(patch, lambda each: _ended(each, 0) if each.status == "reserved" else each)


def captured_coins_stay(patch: pytest.MonkeyPatch) -> None:
    """A capture takes nothing."""
    _possible(patch, lambda each: _ended(each, -1) if each.how == "captured" else each)


def expired_coins_are_lost(patch: pytest.MonkeyPatch) -> None:
    """An expiry takes the coins that it should free."""
    _possible(patch, lambda each: _ended(each, 0) if each.how == "expired" else each)


def released_coins_come_twice(patch: pytest.MonkeyPatch) -> None:
    """A release gives the coins back that were never taken from the balance."""

    def received(each: Op) -> Op:
        twice = each.how == "released" and isinstance(each.kind, Reserve)
        return replace(each, kind=Receive(each.kind.size), end=0) if twice else each  # type: ignore[union-attr]

    _possible(patch, received)


def waiting_doubling_does_not_count(patch: pytest.MonkeyPatch) -> None:
    """What waits is passed over as if it were not there."""
    for kind in (NumberKind, Multiply):
        patch.setattr(kind, "hull", lambda self, least, greatest: (least, greatest))
    _possible(patch, lambda each: None if each.status == "waiting" else each)


def hull_is_unsound(patch: pytest.MonkeyPatch) -> None:
    """A kind that says it is monotone makes the hull too small."""
    patch.setattr(Multiply, "hull", lambda self, least, greatest: (least, greatest))


def exact_set_is_cut_short(patch: pytest.MonkeyPatch) -> None:
    """Of the possible states only some are looked at, as if they were all."""
    exact_sets = entity.exact_sets

    def broken(of: Log[Any]) -> Iterator[tuple[Any, set[Any]]]:
        for operation_id, states in exact_sets(of):
            yield operation_id, set(sorted(states)[:1])

    patch.setattr(entity, "exact_sets", broken)


def exact_set_is_never_asked(patch: pytest.MonkeyPatch) -> None:
    """Where the hull says to wait, that is all that is asked."""
    patch.setattr(entity, "exact_sets", lambda _: iter(()))


def waiting_is_accepted(patch: pytest.MonkeyPatch) -> None:
    """What waits is told to be accepted, although it may still be refused."""
    told = Operation.told

    def broken(self: Op, answers: set[Any], state: Any) -> Op:
        now = told(self, answers, state)
        return replace(now, accepted=True) if now.status == "waiting" and not now.accepted else now

    patch.setattr(Operation, "told", broken)


def acceptance_is_never_told(patch: pytest.MonkeyPatch) -> None:
    """What nothing refuses or withdraws any more is told to wait, and no more."""
    told = Operation.told

    def broken(self: Op, answers: set[Any], state: Any) -> Op:
        return self if len(answers) != 1 else told(self, answers, state)

    patch.setattr(Operation, "told", broken)


def irrevocable_is_withdrawn(patch: pytest.MonkeyPatch) -> None:
    """Who asked for what is accepted may still give it up."""
    withdraw = Entity.withdraw

    def broken(self: Entity[Any], operation_id: Any, now: datetime, reason: str, note: Any = None) -> Outcome[Any]:
        known = self.find(operation_id)
        if known and known.status == "waiting" and not known.is_revocable:
            self.put(replace(known, answer_by=now + timedelta(days=1)))
        return withdraw(self, operation_id, now, reason, note)

    patch.setattr(Entity, "withdraw", broken)


def after_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """An operation joins at once, whatever it names."""
    _arriving(patch, Kind, lambda _, each, __: replace(each, after=frozenset()))


def one_of_those_named_is_enough(patch: pytest.MonkeyPatch) -> None:
    """An operation joins as soon as one of those that it names has."""

    def broken(self: Entity[Any], operation: Op, _: datetime) -> Op:
        is_there = any((known := self.find(each)) and known.status != "outside" for each in operation.after)
        return replace(operation, after=frozenset() if is_there else frozenset(sorted(operation.after, key=str)[:1]))

    _arriving(patch, Kind, broken)


class _Forgotten(dict[Any, Op]):
    """What is past, as if it were not."""

    def __contains__(self, _: object) -> bool:
        return False


def past_ones_are_waited_for(patch: pytest.MonkeyPatch) -> None:
    """An operation that names past ones stands outside as if they were still to come."""
    arrive = Entity.arrive

    def broken(self: Entity[Any], *arguments: Any) -> Outcome[Any]:
        self.past = _Forgotten(self.past)
        outcome = arrive(self, *arguments)
        self.past = dict(self.past)
        return outcome

    patch.setattr(Entity, "arrive", broken)


def who_joins_lets_nobody_join(patch: pytest.MonkeyPatch) -> None:
    """An operation that stands outside is not looked at when those that it names come."""
    come = Entity._come

    def broken(self: Entity[Any], operation: Op, outcome: Outcome[Any]) -> None:
        outside, self._outside = self._outside, {}
        come(self, operation, outcome)
        self._outside = {each: known for each, known in outside.items() if each != operation.id}

    patch.setattr(Entity, "_come", broken)


def newcomer_goes_first(patch: pytest.MonkeyPatch) -> None:
    """A new operation is put in front of all that are pending."""
    arrive = Entity.arrive

    def broken(self: Entity[Any], *arguments: Any) -> Outcome[Any]:
        places = self.places
        self.places = min((each.place for each in self), default=places + 1) - 2
        outcome = arrive(self, *arguments)
        self.places = places + 1
        return outcome

    patch.setattr(Entity, "arrive", broken)


def finished_is_folded_behind_an_open_one(patch: pytest.MonkeyPatch) -> None:
    """What is settled leaves the log although something ahead of it is open."""
    fold = Log.fold

    def broken(self: Log[Any]) -> Iterator[Op]:
        for each in [each for each in self.operations.values() if each.status != "settled"]:
            self.operations.move_to_end(each.id)
        yield from fold(self)

    patch.setattr(Log, "fold", broken)


def two_ledger_lines_have_one_number(patch: pytest.MonkeyPatch) -> None:
    """The number of the next line does not go on."""
    record = Entities._record

    def broken(self: Entities, key: str, outcome: Outcome[int]) -> Outcome[int]:
        number, _ = self.ledgers.get(key, (0, 0))
        recorded = record(self, key, outcome)
        if key in self.ledgers:
            self.ledgers[key] = number, self.ledgers[key][1]
        return recorded

    patch.setattr(Entities, "_record", broken)


def coin_is_lost_in_folding(patch: pytest.MonkeyPatch) -> None:
    """The state takes another way than the ledger."""
    fold = Log.fold

    def broken(self: Log[Any]) -> Iterator[Op]:
        folded = list(fold(self))
        self.state -= bool(folded) and self.state > 0
        yield from folded

    patch.setattr(Log, "fold", broken)


def settling_answers_nobody(patch: pytest.MonkeyPatch) -> None:
    """What waits is answered by its own deadline alone."""
    settle, walk = Entity._settle, entity.walk
    settling: list[bool] = []

    def broken_settle(self: Entity[Any], *arguments: Any, **ended: Any) -> None:
        settling.append(True)
        settle(self, *arguments, **ended)
        settling.clear()

    patch.setattr(Entity, "_settle", broken_settle)
    patch.setattr(entity, "walk", lambda of, start: iter(()) if settling else walk(of, start))


def _deadlines(patch: pytest.MonkeyPatch, is_endless: Callable[[Op], bool]) -> None:
    deadline = Operation.deadline.fget  # type: ignore[attr-defined]
    patch.setattr(Operation, "deadline", property(lambda self: None if is_endless(self) else deadline(self)))


def expiry_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """A reservation holds for ever."""
    _deadlines(patch, lambda each: each.status == "reserved")


def waiting_outlives_its_deadline(patch: pytest.MonkeyPatch) -> None:
    """An effect that waits, waits on after its deadline."""
    _deadlines(patch, lambda each: each.status == "waiting" and isinstance(each.kind, Multiply))


def outside_outlives_its_deadline(patch: pytest.MonkeyPatch) -> None:
    """What names others that never come waits for them for ever."""
    _deadlines(patch, lambda each: each.status == "outside")


def late_capture_is_accepted(patch: pytest.MonkeyPatch) -> None:
    """A capture counts although the deadline has passed, if nobody has noticed yet."""
    settle = Entity.settle

    def broken(
        self: Entity[Any], operation_id: Any, now: datetime, end: int = 0, *rest: Any, **more: Any
    ) -> Outcome[Any]:
        known = self.find(operation_id)
        if known and known.status == "reserved" and known.settle_by and end == 0:
            now = min(now, known.settle_by - timedelta(microseconds=1))
        return settle(self, operation_id, now, end, *rest, **more)

    patch.setattr(Entity, "settle", broken)


def tombstone_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A cancel that overtakes its order leaves nothing behind."""
    withdraw = Entities.withdraw

    def broken(self: Entities, key: str, operation_id: UUID, *arguments: Any) -> Outcome[int]:
        return withdraw(self, key, operation_id, *arguments) if self.at[key].find(operation_id) else Outcome()

    patch.setattr(Entities, "withdraw", broken)


def doubling_adds_once_too_often(patch: pytest.MonkeyPatch) -> None:
    """A factor of two adds twice the balance."""
    patch.setattr(Multiply, "answer", lambda self, state: state * self.size)


def bonus_is_given_twice(patch: pytest.MonkeyPatch) -> None:
    """A bonus adds double what it says."""
    patch.setattr(Bonus, "answer", lambda self, _: 2 * self.size)


def fee_is_rounded_up(patch: pytest.MonkeyPatch) -> None:
    """A fee takes the part of a coin for a whole one."""
    patch.setattr(Fee, "answer", lambda self, state: -(-state * self.size // 100))


def exact_coins_are_refused(patch: pytest.MonkeyPatch) -> None:
    """A purchase that takes the last coin is refused."""
    patch.setattr(Reserve, "answer", lambda self, state: self.size if state > self.size else INSUFFICIENT)


def take_is_always_granted(patch: pytest.MonkeyPatch) -> None:
    """More pieces are sold than there are."""
    patch.setattr(Take, "answer", lambda self, _: self.size)


def goods_are_never_taken(patch: pytest.MonkeyPatch) -> None:
    """Stock is checked, and not taken."""
    patch.setattr(Take, "adds", lambda self, _: (0, 0))


def _arriving(patch: pytest.MonkeyPatch, kind: type[Any], change: Callable[[Entity[Any], Op, datetime], Op]) -> None:
    """Change what arrives, of this kind."""
    arrive = Entity.arrive

    def broken(self: Entity[Any], operation: Op, now: datetime, refused: str | None = None) -> Outcome[Any]:
        arrives = change(self, operation, now) if isinstance(operation.kind, kind) else operation
        return arrive(self, arrives, now, refused)

    patch.setattr(Entity, "arrive", broken)


def _soon(now: datetime) -> datetime:
    return now + timedelta(seconds=0.001)


def doubling_triples(patch: pytest.MonkeyPatch) -> None:
    """A multiply takes a larger factor than its code's."""
    _arriving(patch, Multiply, lambda _, each, __: replace(each, kind=Multiply(each.kind.size + 1)))  # type: ignore[union-attr]


def doubling_hardly_waits(patch: pytest.MonkeyPatch) -> None:
    """A multiply is refused where it should wait for the reservations ahead."""
    _arriving(patch, Multiply, lambda _, each, now: replace(each, answer_by=_soon(now)))


def reservation_hardly_holds(patch: pytest.MonkeyPatch) -> None:
    """A reservation expires long before its deadline."""
    _arriving(patch, Reserve, lambda _, each, now: replace(each, settle_by=_soon(now)))


def take_hardly_waits(patch: pytest.MonkeyPatch) -> None:
    """An order is refused where it should wait for pieces."""
    _arriving(patch, Take, lambda _, each, now: replace(each, answer_by=_soon(now)))


def claim_hardly_waits(patch: pytest.MonkeyPatch) -> None:
    """A redemption is refused where it should wait for a use."""
    _arriving(patch, Claim, lambda _, each, now: replace(each, answer_by=_soon(now)))


def reservation_holds_too_long(patch: pytest.MonkeyPatch) -> None:
    """A reservation outlives the deadline that its client named."""
    _arriving(patch, Reserve, lambda _, each, now: replace(each, settle_by=now + timedelta(seconds=3000)))


def some_are_refused_at_the_door(patch: pytest.MonkeyPatch) -> None:
    """Operations are refused for a limit that they are far from."""
    arrive = Entities.arrive

    def broken(self: Entities, key: str, operation: Op, now: datetime) -> Outcome[int]:
        if isinstance(operation.id, UUID) and operation.id.int % 3 == 0:
            return self.refuse(key, operation, now, "pending_limit")
        return arrive(self, key, operation, now)

    patch.setattr(Entities, "arrive", broken)


def named_ones_are_refused_early(patch: pytest.MonkeyPatch) -> None:
    """What names others is refused long before its deadline."""
    _arriving(patch, Kind, lambda _, each, now: replace(each, join_by=_soon(now)) if each.after else each)
