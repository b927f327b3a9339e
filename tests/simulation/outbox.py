"""A model in memory of the outbox and its relay: `holdfast.delivery.outbox` and `holdfast.delivery.relay.Relay`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from holdfast.delivery.relay import ATTEMPTS_TOGETHER, SWEEP_S, TOGETHER_MAX
from tests.simulation.node import Parcel, Publish, Reached


@dataclass(frozen=True, slots=True)
class _Kept:
    parcel: Parcel
    at: datetime


class Outbox:
    """What was announced and is not confirmed yet. `announced`: how many messages ever were."""

    def __init__(self) -> None:
        self.announced = 0
        self._kept: dict[int, _Kept] = {}
        self._held: list[int] = []
        self._publishing: Iterator[None] | None = None
        self._starts = False

    def keep(self, parcels: Sequence[Parcel], now: datetime) -> None:
        """A transaction announced these and is committed."""
        for parcel in parcels:
            self.announced += 1
            self._kept[self.announced] = _Kept(parcel, now)
            self._held.append(self.announced)

    def restart(self) -> None:
        """The process is another one, which knows nothing but what is kept."""
        self._held, self._publishing, self._starts = [], None, True

    def relay(self, publish: Publish, now: datetime, reached: Reached) -> bool:
        """One turn: until all is confirmed, or the broker has to be connected to again. Returns whether any is left."""
        self._publish_to, self._reached = publish, reached
        if self._starts:
            self._sweep(now, 0.0)
            self._starts = False
        elif self._publishing or self._held:
            self._publishing = self._publishing or self._until_done(self._held[:TOGETHER_MAX])
            if next(self._publishing, "done") == "done":
                self._publishing = None
        elif self._kept:
            self._sweep(now, SWEEP_S)
        return bool(self._kept)

    def _until_done(self, numbers: Sequence[int]) -> Iterator[None]:
        """Publish and delete. Yields where it has to connect again. What is lost still is left to sweeps."""
        left, confirmed = list(numbers), []
        for attempt in range(ATTEMPTS_TOGETHER):
            if attempt:
                yield
            done, left = self._publish(left)
            confirmed += done
            if not left:
                break
        lost = bool(left)
        for number in left:
            if lost:
                yield
            done, again = self._publish([number])
            confirmed += done
            lost = bool(again)
        if confirmed:
            self._reached("before delete")
            self._forget(confirmed)
            self._reached("after delete")
        self._held = self._held[len(numbers) :]

    def _sweep(self, now: datetime, age_s: float) -> None:
        """Publish what nobody holds and is older than this, in pages."""
        last, before = 0, now - timedelta(seconds=age_s) if age_s else datetime.max.replace(tzinfo=UTC)
        while page := self._page(last, before):
            confirmed, again = self._publish(page)
            for number in again:
                confirmed += self._publish([number])[0]
            self._reached("before delete")
            self._forget(confirmed)
            self._reached("after delete")
            last = page[-1]

    def _page(self, last: int, before: datetime) -> list[int]:
        old = [number for number, kept in self._kept.items() if number > last and kept.at < before]
        return [number for number in old if number not in self._held][:TOGETHER_MAX]

    def _publish(self, numbers: Sequence[int]) -> tuple[list[int], list[int]]:
        self._reached("before publish")
        confirmed = [number for number in numbers if self._publish_to(self._kept[number].parcel)]
        self._reached("after publish")
        self._reached("after confirm")
        return confirmed, [number for number in numbers if number not in confirmed]

    def _forget(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            del self._kept[number]
