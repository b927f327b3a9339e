"""Watches one account through a history, believing only what was sent to it and what it announced.

It keeps an order of its own, decides by itself how each reservation ended, and after each move compares every answer
with that of the serial program in every world: for each way in which the open operations may still end.
"""

from __future__ import annotations

from collections.abc import Iterable

from contracts.base import Fact
from contracts.events import (
    CoinsCaptured,
    CoinsCredited,
    CoinsExpired,
    CoinsMultiplied,
    CoinsRefused,
    CoinsReleased,
    CoinsReserved,
    OperationWaiting,
)
from tests.domain.moves import ARRIVALS, Move, id_of, name_of, play, seconds_of, time_of
from tests.domain.serial import PLENTY, End, Entry, execute, run, ways, ways_unknown
from user_service import account as rules

NEVER = 10**9


class Broken(AssertionError):
    """The account did what one serial program would not have done."""


def require(truth: bool, what: str) -> None:
    """Fail with `what` unless it is so."""
    if not truth:
        raise Broken(what)


class Witness:
    """`careful`: times an operation waited though all worlds agreed, which only the documented case may do."""

    def __init__(self, limits: rules.Limits) -> None:
        self.limits = limits
        self.account = rules.Account("ada")
        self.lines: list[rules.Line] = []
        self.careful = 0
        self.order: list[str] = []
        self.entries: dict[str, Entry] = {}
        self.kept_until: dict[str, int] = {}
        self.due: dict[str, int] = {}
        self.promised: dict[str, int] = {}
        self.answers: dict[str, str] = {}
        self.ends: dict[str, End] = {}
        self.withdrawn: dict[str, str] = {}
        self.turned_away: dict[str, str] = {}
        self._finished = (0, 0)

    def play(self, move: Move) -> None:
        """Make the move, and require that everything said up to now is right in every world."""
        if move.verb == "open":
            self.account = play(self.account, move, self.limits).account
            return
        self._require_same_when_swept(move.at)
        try:
            step = play(self.account, move, self.limits)
        except rules.Conflict:
            known = self.entries.get(move.name)
            answered = known and known.kind == "reserve" and (move.name in self.answers or move.name in self.withdrawn)
            require(move.verb == "capture" and not answered, f"conflict about {move}")
            return
        self._note(move)
        self.account = step.account
        self.lines += step.lines
        for fact in step.facts:
            self._hear(fact, move)
        told = any(getattr(fact, "operation_id", None) == id_of(move.name) for fact in step.facts)
        require(told or move.verb not in ARRIVALS, "an arrival was not answered")
        self._require_order(move, step.facts)
        self._require_ends(move)
        self._require_worlds()

    def require_settled(self) -> None:
        """Nothing is open any more: the whole history is that of one serial run, and so is each line of the ledger."""
        require(not self.account.log and not self.kept_until, f"still open: {self.account.log}")
        log = [self.entries[name] for name in self.order]
        answers, balances = run(log, self.ends, self.withdrawn)
        require(answers == self.answers, f"answers {self.answers}, serially {answers}")
        require(self.account.balance == balances[-1], f"balance {self.account.balance}, serially {balances[-1]}")
        require(min(balances) >= 0, f"negative: {balances}")
        replayed = [(line.seq, line.balance_before, line.balance_after) for line in self.lines]
        expected = [(i + 1, before, balances[i + 1]) for i, before in enumerate(balances[:-1])]
        require(replayed == expected, f"ledger {replayed}, serially {expected}")

    def _note(self, move: Move) -> None:
        """Keep the order of arrival, with the places of those that were named."""
        for name in [name for name, until in self.kept_until.items() if until <= move.at]:
            self._forget_place(name)
        new = move.name not in self.entries and move.name not in self.turned_away
        if move.verb in ("release", "cancel") and new:
            self.turned_away[move.name] = "order_failed" if move.verb == "release" else "cancelled"
            self._forget_place(move.name)
        if move.verb not in ARRIVALS or not new:
            return
        reason = self._reason_to_turn_away(move)
        if reason:
            self.turned_away[move.name] = reason
            self._forget_place(move.name)
            return
        self._take_place(move)
        self.entries[move.name] = Entry(move.name, ARRIVALS[move.verb], move.size)
        self.due[move.name] = move.at + move.lasts if move.lasts else NEVER

    def _reason_to_turn_away(self, move: Move) -> str:
        if not self.account.opened:
            return "unknown_account"
        new_places = {move.name, *move.after} - self.kept_until.keys() - self.entries.keys() - self.turned_away.keys()
        pending = len(rules.pass_time(self.account, time_of(move.at)).account.log)
        return "pending_limit" if pending + len(new_places) > self.limits.pending else ""

    def _take_place(self, move: Move) -> None:
        if move.name not in self.kept_until:
            self.order.append(move.name)
        for name in dict.fromkeys(move.after):
            if name in self.kept_until and self.order.index(name) > self.order.index(move.name):
                self.order.remove(name)
                self.order.insert(self.order.index(move.name), name)
            elif not (name == move.name or name in self.order or name in self.turned_away):
                self.order.insert(self.order.index(move.name), name)
                self.kept_until[name] = move.at + int(self.limits.named_s)
        self.kept_until.pop(move.name, None)

    def _forget_place(self, name: str) -> None:
        if self.kept_until.pop(name, None) is not None:
            self.order.remove(name)

    def _hear(self, fact: Fact, move: Move) -> None:
        match fact:
            case CoinsCredited():
                self._answered(name_of(fact.operation_id), "credited")
            case CoinsMultiplied():
                self._answered(name_of(fact.operation_id), f"+{fact.added}")
            case CoinsReserved():
                name = name_of(fact.operation_id)
                require(name not in self.ends, f"{name} is reserved again after its end")
                require(seconds_of(fact.deadline) == self.due[name], f"{name} holds until {fact.deadline}")
                self._answered(name, "reserved")
            case CoinsRefused():
                self._refused(name_of(fact.operation_id), fact.reason, move)
            case CoinsCaptured() | CoinsReleased() | CoinsExpired():
                self._ended(name_of(fact.operation_id), fact, move)
            case OperationWaiting():
                name = name_of(fact.operation_id)
                require(name not in self.answers and name not in self.withdrawn, f"{name} waits after its answer")
                self.promised[name] = seconds_of(fact.deadline) if fact.deadline else NEVER

    def _answered(self, name: str, answer: str) -> None:
        require(name not in self.withdrawn and name in self.entries, f"{name} answered {answer} out of the blue")
        before = self.answers.setdefault(name, answer)
        require(before == answer, f"{name} was told {before}, then {answer}")

    def _refused(self, name: str, reason: str, move: Move) -> None:
        if name in self.turned_away:
            require(self.turned_away[name] == reason, f"{name} was refused: {self.turned_away[name]}, then {reason}")
        elif reason == "insufficient_coins":
            self._answered(name, "refused")
        elif name not in self.withdrawn:
            require(name not in self.answers, f"{name} was told {self.answers.get(name)}, then withdrawn: {reason}")
            asked = move.name == name and move.verb == {"order_failed": "release", "cancelled": "cancel"}.get(reason)
            over = reason == "wait_deadline_passed" and self.due[name] <= move.at
            require(asked or over, f"{name} refused: {reason}")
            self.withdrawn[name] = reason
        else:
            require(self.withdrawn[name] == reason, f"{name} was refused: {self.withdrawn[name]}, then {reason}")

    def _ended(self, name: str, fact: CoinsCaptured | CoinsReleased | CoinsExpired, move: Move) -> None:
        require(self.answers.get(name) == "reserved", f"{name} ended, but was never reserved")
        end: End = "captured" if isinstance(fact, CoinsCaptured) else "undone"
        if name not in self.ends:
            late = self.due[name] <= move.at
            asked = move.name == name and move.verb in (("capture",) if end == "captured" else ("release", "cancel"))
            require(late if isinstance(fact, CoinsExpired) else asked and not late, f"{name}: {fact.type}")
            self.ends[name] = end
        require(self.ends[name] == end, f"{name} was {self.ends[name]}, then {end}")

    def _is_waiting(self, name: str) -> bool:
        return name in self.entries and name not in self.answers and name not in self.withdrawn

    def _is_in_flight(self, name: str) -> bool:
        return self.answers.get(name) == "reserved" and name not in self.ends

    def _is_open(self, name: str) -> bool:
        return name in self.kept_until or self._is_waiting(name) or self._is_in_flight(name)

    def _require_order(self, move: Move, facts: Iterable[Fact]) -> None:
        kept = [name_of(line.operation.id) for line in self.lines] + [name_of(each.id) for each in self.account.log]
        if kept != self.order:
            raise Broken(f"order {kept}, arrived {self.order}")
        require(len(self.account.log) <= self.limits.pending, "more pending than allowed")
        for fact in facts:
            if isinstance(fact, OperationWaiting):
                before = self.order[: self.order.index(name_of(fact.operation_id))]
                ahead = [name for name in before if self._is_open(name)]
                require([name_of(each) for each in fact.waits_for] == ahead, f"{move} waits for {ahead}")

    def _require_ends(self, move: Move) -> None:
        """Whatever is due is over, sweeper or not, and what was asked to end has ended."""
        for name in self.order:
            if name in self.entries and self._is_open(name):
                require(self.due[name] > move.at, f"{name} is open after its deadline")
                waits = self._is_waiting(name)
                require(not (waits and self.promised[name] <= move.at), f"{name} waits longer than announced")
                asked = move.name == name and move.verb in ("release", "cancel")
                asked |= move.name == name and move.verb == "capture" and not waits
                require(not asked, f"{name} is still open")

    def _require_worlds(self) -> None:
        finished, balance = self._finished
        worlds, unknown, reserve_waits = {balance}, False, False
        for name in self.order[finished:]:
            entry = self.entries.get(name)
            if entry is None:
                unknown, worlds = True, {after for each in worlds for after in ways_unknown(each)}
            elif name not in self.withdrawn:
                told = self.answers.get(name)
                serial = {execute(entry.kind, entry.size, each)[0] for each in worlds}
                if told and serial != {told}:
                    raise Broken(f"{name} was told {told}, serially {sorted(serial)} on {sorted(worlds)}")
                if not told and len(serial) == 1:
                    # The interval knows no gaps, so its low end is 0 behind a reserve that waits.
                    require(reserve_waits and serial == {"reserved"}, f"{name} waits, though always {serial}")
                    self.careful += 1
                end = self.ends.get(name)
                worlds = {after for each in worlds for after in ways(entry, each, told is not None, end)}
                reserve_waits |= told is None and entry.kind == "reserve"
            if len(worlds) == 1 and not self._is_open(name) and finished == self._finished[0]:
                finished += 1
                self._finished = (finished, next(iter(worlds)))
        self._require_bounds(worlds, unknown, reserve_waits)

    def _require_bounds(self, worlds: set[int], unknown: bool, reserve_waits: bool) -> None:
        behind = rules.bounds(self.account)
        least, most = min(worlds), max(worlds)
        low_right = 0 <= behind.low <= least if reserve_waits else behind.low == least
        high_right = behind.high >= PLENTY if unknown else behind.high == most
        if not (low_right and high_right):
            raise Broken(f"{behind}, in all worlds {least}..{most}")

    def _require_same_when_swept(self, at: int) -> None:
        """Several deadlines that pass at once have the effect they have one by one."""
        account, now = self.account, time_of(at)
        if sum(1 for each in account.log if each.deadline and each.deadline <= now) < 2:
            return
        swept = rules.Step(account)
        while due := [each.deadline for each in swept.account.log if each.deadline and each.deadline <= now]:
            one = rules.pass_time(swept.account, min(due))
            swept = rules.Step(one.account, swept.facts + one.facts, swept.lines + one.lines)
        require(rules.pass_time(account, now) == swept, "deadlines that pass at once differ from one by one")
