"""What a service counts and measures, for Prometheus."""

from __future__ import annotations

from collections import Counter as TypeCounts
from collections.abc import Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from holdfast.delivery.message import Announcement, Message

_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_DURATIONS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)


class Metrics:
    """The figures of one service. `registry` holds them; the gauges are set before each reading."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.handled = Counter("events_handled", "Events handled, by type.", ["type"], registry=self.registry)
        self.announced = Counter("events_announced", "Events announced, by type.", ["type"], registry=self.registry)
        self.refused = Counter(
            "events_refused", "Refusals and failures announced, by type.", ["type"], registry=self.registry
        )
        self.parked = Counter("events_parked", "Events put in the dead-letter queue.", registry=self.registry)
        self.batch = Histogram("batch_events", "Events in one transaction.", buckets=_SIZES, registry=self.registry)
        self.saga = Histogram(
            "saga_duration_seconds",
            "Time a saga took, by how it ended.",
            ["end"],
            buckets=_DURATIONS_S,
            registry=self.registry,
        )
        self._gauges: dict[str, Gauge] = {}

    def committed(
        self,
        handled: Sequence[Message],
        announcements: Sequence[Announcement],
        parked: int,
        size: int,
        now: datetime | None,
    ) -> None:
        """Count what one transaction did."""
        self.batch.observe(size)
        self.parked.inc(parked)
        for name, count in TypeCounts(message.fact.type for message in handled).items():
            self.handled.labels(name).inc(count)
        for name, count in TypeCounts(each.fact.type for each in announcements).items():
            self.announced.labels(name).inc(count)
        for each in announcements:
            if getattr(each.fact, "reason", None):
                self.refused.labels(each.fact.type).inc()
            if each.began_at and now:
                self.saga.labels(each.fact.type).observe(max(0.0, (now - each.began_at).total_seconds()))

    def set_gauge(self, name: str, value: float) -> None:
        """Show a figure that was read from the database."""
        if name not in self._gauges:
            self._gauges[name] = Gauge(name, name.replace("_", " "), registry=self.registry)
        self._gauges[name].set(value)
