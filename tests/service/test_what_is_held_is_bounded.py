"""What the relay holds in memory is bounded by number and by bytes; the rest is in the outbox anyway."""

from __future__ import annotations

from uuid import uuid4

import pytest

from holdfast.delivery import held
from holdfast.delivery.held import Held
from holdfast.delivery.outbox import Outgoing


def of(size: int) -> Outgoing:
    return Outgoing(uuid4(), "user", "coins.credited", "application/json", b"x" * size)


@pytest.mark.parametrize(("sizes", "kept"), [([0] * 5, 4), ([4, 4, 2, 1], 3), ([10, 1], 1), ([11], 0)])
def test_what_has_no_room_is_not_held(sizes: list[int], kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "HELD_MAX", 4)
    monkeypatch.setattr(held, "HELD_BYTES_MAX", 10)
    messages, holding = [of(size) for size in sizes], Held()
    for message in messages:
        holding.add([message])
    assert holding.first(10) == messages[:kept]
    assert holding.ids == {message.id for message in messages[:kept]}


def test_what_is_handed_over_together_is_held_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "HELD_BYTES_MAX", 10)
    holding = Held()
    holding.add([of(6), of(5)])
    assert len(holding) == 0
    holding.add([of(6), of(4)])
    assert len(holding) == 2


def test_what_is_held_no_more_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "HELD_BYTES_MAX", 10)
    holding = Held()
    holding.add([of(6), of(4)])
    holding.drop(1)
    holding.add([last := of(6)])
    assert holding.first(10)[-1] is last
    assert len(holding) == 2
