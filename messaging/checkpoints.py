"""Named points between the steps of delivery, where a test can wait, fail or kill the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

Checkpoint = Literal[
    "batch taken",
    "before commit",
    "after commit",
    "after ack",
    "before publish",
    "after confirm",
    "after delete",
]

Hook = Callable[[Checkpoint], Awaitable[None]]
