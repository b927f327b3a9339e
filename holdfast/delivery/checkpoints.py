"""Named points between the steps of delivery, where a test can wait, fail or kill the process.

There is one before and after each step that the outside world can see: a commit, a publish, its confirm, a delete from
the outbox, an acknowledgement. A crash between two steps is the same as one at the point between them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

Job = Literal["consumer", "clock", "relay", "sweep"]
"""What a service does at the same time; each is a task of this name. The clock handles what falls due, and the sweep
publishes what a crash left behind."""

Checkpoint = Literal[
    "batch taken",
    "before commit",
    "after commit",
    "before ack",
    "after ack",
    "before publish",
    "after publish",
    "after confirm",
    "before delete",
    "after delete",
]

_PUBLISHING: tuple[Checkpoint, ...] = (
    "before publish",
    "after publish",
    "after confirm",
    "before delete",
    "after delete",
)

STEPS: Mapping[Job, tuple[Checkpoint, ...]] = {
    "consumer": ("batch taken", "before commit", "after commit", "before ack", "after ack"),
    "clock": ("before commit", "after commit"),
    "relay": _PUBLISHING,
    "sweep": _PUBLISHING,
}
"""The points that each job comes to, in this order."""

Hook = Callable[[Checkpoint], Awaitable[None]]
