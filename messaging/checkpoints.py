"""Named points between the steps of delivery, where a test can wait, fail or kill the process.

There is one before and after each step that the outside world can see: a commit, a publish, its confirm, a delete from
the outbox, an acknowledgement. A crash between two steps is the same as one at the point between them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

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

Hook = Callable[[Checkpoint], Awaitable[None]]
