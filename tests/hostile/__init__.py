"""Messages that nobody should send: one for each seed, always the same one, by whoever the broker lets send it.

They name accounts that nobody opened and ids of their own, so that they harm no saga beside them unless a service is
wrong. Sent among healthy traffic, they show that it goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.hostile import contents, ways
from tests.hostile.message import HostileMessage

__all__ = ["HostileMessage", "hostile"]

KINDS: tuple[tuple[Callable[[Random], HostileMessage], int], ...] = (
    (contents.of_bytes, 100),
    (contents.of_json, 150),
    (contents.of_spoiled, 200),
    (contents.of_field, 200),
    (contents.of_number, 40),
    (contents.of_batch, 60),
    (ways.of_way, 70),
    (contents.of_ids, 60),
    (ways.of_properties, 80),
    (ways.of_unreadable, 20),
    (ways.of_question, 60),
    (ways.of_replay, 20),
    (contents.of_peer, 50),
    (contents.of_compressed, 15),
    (contents.of_large, 2),
)
"""Each kind, and how often it comes."""


def hostile(seed: int) -> HostileMessage:
    """The message of this seed. Among 50,000 there is each kind many times; some 100 of them are large."""
    random = Random(seed)
    (make,) = random.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS])
    return make(random)
