"""Looks at the entities that a service has just committed: what must hold of each at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from contracts.events import OperationAccepted, OperationWaiting, OrderCancelled, OrderFailed
from holdfast.delivery.words import Fact
from holdfast.pending import Operation, Refused
from tests.simulation import oracle
from tests.simulation.asked import lasts_s
from tests.simulation.history import History
from tests.simulation.keeper import MemoryKeeper
from tests.simulation.oracle import Seen
from tests.simulation.plan import Plan


class Violation(Exception):
    """Something that one program with one database would not have done."""

    def __init__(self, check: str, what: str) -> None:
        super().__init__(f"{check}: {what}")
        self.check, self.what = check, what

    def __reduce__(self) -> tuple[type[Violation], tuple[str, str]]:
        """So that other processes can tell of it."""
        return Violation, (self.check, self.what)


Sagas = Mapping[UUID, Any]
"""Orders or redemptions."""

GO_ON: Mapping[tuple[str, str], Callable[[Any], bool]] = {
    ("order_service", "waiting"): lambda order: order.state == "reserved" and not order.taken,
    ("order_service", "reserved"): lambda order: order.state in ("reserved", "confirmed") and order.taken,
    ("promo_service", "waiting"): lambda redemption: redemption.state == "waiting",
    ("promo_service", "reserved"): lambda redemption: redemption.state == "claimed",
}
"""How an order or a redemption must be, by the status of its operation on the item or the code."""


class Watch:
    """Looks at each entity after every commit of its service. `found`: the first that is wrong; it looks no further."""

    def __init__(self, keepers: Mapping[str, MemoryKeeper], plan: Plan, sagas: Mapping[str, Sagas]) -> None:
        self._sagas = sagas
        self.history = History()
        self.found: list[Violation] = []
        named = {saga.id: plan.named_by(saga) for saga in plan.sagas}
        self._within = {saga.id: timedelta(seconds=lasts_s(plan, saga)) for saga in plan.sagas}
        self._joins = timedelta(seconds=max(plan.joins_s, plan.lasts_s))
        self._entities = {
            service: _Entities(keeper, named if service == "user_service" else {})
            for service, keeper in keepers.items()
        }
        self._over: set[UUID] = set()

    def accepted(self) -> frozenset[UUID]:
        """The operations on accounts that were seen to be accepted."""
        return frozenset(each for seen in self._entities["user_service"].seen.values() for each in seen.accepted)

    def waited(self) -> dict[str, frozenset[UUID]]:
        """The operations of each service that were seen to wait, in the log or outside."""
        return {
            service: frozenset(each for seen in entities.seen.values() for each in seen.waited)
            for service, entities in self._entities.items()
        }

    def committed(self, service: str, facts: Iterable[Fact], now: datetime) -> None:
        """The service has committed at this time of its clock."""
        if not self.found:
            try:
                self._look(service, facts, now)
            except Violation as found:
                self.found.append(found)

    def _look(self, service: str, facts: Iterable[Fact], now: datetime) -> None:
        entities = self._entities[service]
        if service == "user_service":
            self._over.update(each.order_id for each in facts if isinstance(each, OrderFailed | OrderCancelled))
        for key in entities.looked_at():
            for operation in entities.look(key, now):
                self._in_time(service, operation, now)
                self._goes_on(service, key, operation)
                if operation.id in self._over and operation.status != "settled" and service == "user_service":
                    raise Violation("ended orders let go", f"{operation}")

    def _in_time(self, service: str, operation: Operation[int], now: datetime) -> None:
        """Nothing is open longer than it was promised, nor than its client said."""
        saga_id = cast(UUID, operation.id)
        taken = self.history.taken.get(saga_id)
        if taken is None or saga_id not in self._within or operation.status == "settled" or service != "user_service":
            return
        last: datetime | None = None
        if operation.status == "outside":
            last = taken + self._joins
        elif operation.status == "reserved" or operation.is_revocable:
            last = taken + self._within[saga_id]
        promise = self._promise(operation) if operation.status == "waiting" else None
        over = min(filter(None, (promise, last)), default=None)
        if over and over < now:
            raise Violation("bounded wait", f"{operation} at {now}, was promised {promise}, may until {last}")

    def _goes_on(self, service: str, key: str, operation: Operation[int]) -> None:
        """Whose operation is answered, goes on at once. A redemption's claim of its account's use is not its last."""
        is_right = GO_ON.get((service, operation.status))
        if is_right and "/" not in key:
            saga = self._sagas[service][cast(UUID, operation.id)]
            if not is_right(saga):
                raise Violation("sagas go on", f"{operation} is that of {saga}")

    def _promise(self, operation: Operation[int]) -> datetime | None:
        """When it was told to be answered at the latest. Where it stood outside, it was told when it joins."""
        told = self.history.told.get(cast(UUID, operation.id), {})
        kind = cast(Any, operation.kind).name
        facts = [each.fact for name in _WAITS if (each := told.get(f"{name} {kind}"))]
        promised = [each.deadline for each in facts if isinstance(each, OperationWaiting | OperationAccepted)]
        return min((each for each in promised if each and each != operation.join_by), default=None)


_WAITS = ("operation.waiting", "operation.accepted")


class _Entities:
    """Those of one service."""

    def __init__(self, keeper: MemoryKeeper, named: Mapping[UUID, Sequence[UUID]]) -> None:
        self._keeper, self._named = keeper, named
        self.seen: dict[str, _Entity] = {}

    def looked_at(self) -> list[str]:
        """What the commit was about."""
        changed, self._keeper.changed = sorted(self._keeper.changed), set()
        return changed

    def look(self, key: str, now: datetime) -> list[Operation[int]]:
        """Check it, and return what is pending."""
        state, log, outside = self._keeper.entity(key)
        seen = self.seen.get(key) or self.seen.setdefault(key, _Entity(key))
        lines = self._keeper.ledger.get(key, ())
        folded = [line.operation for line in lines[seen.lines :]]
        seen.conserved(state, lines)
        seen.captured_in_time([*folded, *log], now)
        seen.in_order([*folded, *log], self._keeper.past.get(key, {}), self._named)
        seen.outside_for_a_reason(outside, self._keeper.past.get(key, {}), self._named)
        if found := oracle.wrong(state, [_seen(each) for each in log]):
            raise Violation(found[0], f"{key} with {state}: {found[1]} in {[_seen(each) for each in log]}")
        pending = [*log, *outside]
        seen.waited.update(cast(UUID, each.id) for each in pending if each.status in ("outside", "waiting"))
        return pending


class _Entity:
    """What has been seen of one entity. `log`: its operations in order, as far as they were pending."""

    def __init__(self, key: str) -> None:
        self.key, self.state, self.lines = key, 0, 0
        self.log: list[UUID] = []
        self.joined: set[UUID] = set()
        self.accepted: set[UUID] = set()
        self.waited: set[UUID] = set()
        self.captured: set[UUID] = set()

    def conserved(self, state: int, lines: Sequence[Any]) -> None:
        """Each ledger line begins where the last one ended, and the state is where the last one ends."""
        for number in range(self.lines, len(lines)):
            line = lines[number]
            if line.number != number + 1 or line.before != self.state:
                raise Violation("conservation", f"{self.key} had {self.state} before {line}")
            self.state = line.after
            if self.state < 0:
                raise Violation("never negative", f"{self.key} has {self.state} behind {line}")
            self._line(line)
        self.lines = len(lines)
        if state != self.state:
            raise Violation("conservation", f"{self.key}: the ledger comes to {self.state}, kept is {state}")

    def _line(self, line: Any) -> None:
        """The line is what one program, one operation at a time, would have written."""
        each = _seen(line.operation)
        told = oracle.answer(each.kind, each.size, line.before)
        if line.operation.id in self.accepted and each.end is None:
            raise Violation("accepted is never refused", f"{line}")
        if each.withdrawn:
            after = line.before
        elif told != each.answer:
            raise Violation("right answer", f"{self.key}: {line}, not {told}")
        else:
            after = oracle.ends(each.kind, each.size, line.before)[each.end or 0]
        if line.after != after:
            raise Violation("right answer", f"{self.key}: {line} leads to {after}")

    def captured_in_time(self, log: Sequence[Operation[int]], now: datetime) -> None:
        """Nothing is captured once its deadline has passed, whoever has noticed that."""
        for each in log:
            if each.how == "captured" and each.id not in self.captured:
                self.captured.add(cast(UUID, each.id))
                if each.settle_by and each.settle_by <= now:
                    raise Violation("bounded wait", f"{each} is captured at {now}")

    def in_order(
        self, log: Sequence[Operation[int]], past: Mapping[UUID, Operation[int]], named: Mapping[UUID, Sequence[UUID]]
    ) -> None:
        """Whoever joins, joins at the end, behind all that it names, and is answered only then."""
        ids = [cast(UUID, each.id) for each in log]
        if ids[: len(self.log)] != self.log:
            raise Violation("order of arrival", f"{self.key}: {self.log} became {ids}")
        for number in range(len(self.log), len(ids)):
            ahead = self.joined.union(ids[:number])
            missing = [each for each in named.get(ids[number], ()) if each not in ahead and each not in past]
            if missing:
                raise Violation("after", f"{log[number]} joined before {missing}")
        self.joined.update(ids)
        self.accepted.update(cast(UUID, each.id) for each in log if each.accepted)
        self.log = [cast(UUID, each.id) for each in log if each.id not in past]

    def outside_for_a_reason(
        self,
        outside: Sequence[Operation[int]],
        past: Mapping[UUID, Operation[int]],
        named: Mapping[UUID, Sequence[UUID]],
    ) -> None:
        """Nothing stands outside whose named ones have all joined, or are past."""
        for each in outside:
            names = named.get(cast(UUID, each.id), ())
            if all(other in self.joined or other in past for other in names):
                raise Violation("needless wait outside", f"{self.key}: {each} names {names}")


def _seen(operation: Operation[int]) -> Seen:
    kind: Any = operation.kind
    return Seen(
        kind.name,
        kind.size,
        operation.status,
        "refused" if isinstance(operation.answer, Refused) else operation.answer,
        operation.end,
        operation.how == "withdrawn",
        operation.is_revocable,
        operation.accepted,
    )
