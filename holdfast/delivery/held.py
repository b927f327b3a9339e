"""What the relay was handed and has not published yet. Bounded: what is beyond that stays in the outbox for a sweep."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from uuid import UUID

from holdfast.delivery.outbox import Outgoing

HELD_MAX, HELD_BYTES_MAX = 10_000, 64 * 1024 * 1024
"""Messages, and bytes of their bodies."""


class Held:
    """Messages in the order in which they were handed over."""

    def __init__(self) -> None:
        self._messages: deque[Outgoing] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def ids(self) -> set[UUID]:
        """The ids of all of them."""
        return {message.id for message in self._messages}

    def add(self, messages: Sequence[Outgoing]) -> None:
        """Hold these too, all or none of them, as far as there is room."""
        size = sum(len(message.body) for message in messages)
        if len(self._messages) + len(messages) <= HELD_MAX and self._bytes + size <= HELD_BYTES_MAX:
            self._messages.extend(messages)
            self._bytes += size

    def first(self, count: int) -> list[Outgoing]:
        """The first `count` of them, or fewer."""
        return list(islice(self._messages, count))

    def drop(self, count: int) -> None:
        """Hold the first `count` no more."""
        for _ in range(count):
            self._bytes -= len(self._messages.popleft().body)
