"""What a keeper remembers from batch to batch counts only if nobody has written the entity since."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

import holdfast.entities.entities
from holdfast.delivery import domain
from holdfast.entities.entities import KEPT_FROM, Entities
from holdfast.entities.tables import Note
from holdfast.pending import Operation
from local.site import Site
from tests.service.facts import FAR
from tests.service.kept import BEGAN, USERS, Kept, connected, same
from user_service.kinds import Credit, Reserve


@pytest.fixture
async def kept(site: Site) -> AsyncIterator[Kept]:
    """Accounts, by a keeper that remembers."""
    async with connected(site, USERS) as engine:
        yield Kept(engine, USERS, USERS.keeper())


@pytest.fixture
async def others(site: Site) -> AsyncIterator[Kept]:
    """The same accounts, by the keeper of another process."""
    async with connected(site, USERS) as engine:
        yield Kept(engine, USERS, USERS.keeper())


async def busy(kept: Kept, reservations: int = KEPT_FROM) -> tuple[str, list[UUID]]:
    """An account with a coin for each of its reservations, which are in flight."""
    key, ids = str(uuid4()), [uuid4() for _ in range(reservations)]

    def act(state: Entities) -> None:
        state.open(key)
        credit_(state, key, reservations)
        for each in ids:
            state.arrive(key, Operation(each, Reserve(1), settle_by=FAR, note=Note("order")), BEGAN)

    await kept.change(key, act)
    return key, ids


def credit_(state: Entities, key: str, coins: int) -> None:
    state.arrive(key, Operation(uuid4(), Credit(coins), note=Note("commands")), BEGAN)


@pytest.mark.parametrize("pending", [KEPT_FROM - 1, KEPT_FROM])
async def test_a_busy_entity_is_not_read_again_and_a_quiet_one_is(kept: Kept, pending: int) -> None:
    key, (first, *_) = await busy(kept, pending - 1)
    one = await kept.change(key, lambda state: credit_(state, key, 1))
    other = await kept.change(key, lambda state: state.settle(key, first, BEGAN, "order.confirmed"), first)
    assert (one is other) == (pending == KEPT_FROM)


async def test_what_another_process_wrote_meanwhile_is_read(kept: Kept, others: Kept) -> None:
    key, (first, *_) = await busy(kept)
    await others.change(key, lambda state: state.settle(key, first, BEGAN, "order.confirmed"), first)
    settled = await kept.change(key, lambda state: credit_(state, key, 7))
    assert settled.state == KEPT_FROM - 1
    assert len(settled) == KEPT_FROM
    same(settled, await others.read(key), [])


async def test_what_was_rolled_back_is_forgotten(kept: Kept, others: Kept) -> None:
    key, (first, *_) = await busy(kept)
    await kept.change(key, lambda state: credit_(state, key, 7), fails=True)
    await kept.change(key, lambda state: state.settle(key, first, BEGAN, "order.confirmed"), first)
    found = await others.read(key)
    assert (found.state, len(found)) == (KEPT_FROM - 1, KEPT_FROM - 1)
    same(await kept.read(key), found, [])


async def test_a_batch_that_failed_half_way_saves_nothing_and_is_forgotten(kept: Kept, others: Kept) -> None:
    key, (first, *_) = await busy(kept)

    def half(state: Entities) -> None:
        with state.deciding():
            state.settle(key, first, BEGAN, "order.confirmed")
            raise ZeroDivisionError

    def survived(state: Entities) -> None:
        with contextlib.suppress(ZeroDivisionError):
            half(state)

    for failing in (half, survived):
        with pytest.raises(ZeroDivisionError):
            await kept.change(key, failing, first)
        found = await kept.read(key)
        assert (found.state, len(found)) == (KEPT_FROM, KEPT_FROM)
        same(found, await others.read(key), [])


async def test_a_message_that_is_refused_does_not_keep_its_batch_from_being_saved(kept: Kept, others: Kept) -> None:
    key, _ = await busy(kept)

    def act(state: Entities) -> None:
        with contextlib.suppress(domain.Refused), state.deciding():
            raise domain.Refused("a contradiction")
        credit_(state, key, 7)

    await kept.change(key, act)
    assert len(await others.read(key)) == KEPT_FROM + 1


async def test_who_only_looks_neither_uses_nor_changes_what_is_remembered(kept: Kept) -> None:
    key, _ = await busy(kept)
    remembered = await kept.change(key, lambda state: credit_(state, key, 1))
    looked = await kept.read(key, lock=False)
    looked.pass_time(FAR)
    assert len(looked) == 0
    assert await kept.read(key) is remembered
    assert len(remembered) == KEPT_FROM + 1


async def test_what_is_past_is_told_of_a_busy_entity_too(kept: Kept) -> None:
    """An operation that names it joins, and one that repeats it is known."""
    key, _ = await busy(kept)
    gone = uuid4()
    await kept.change(key, lambda state: state.withdraw(key, gone, BEGAN, "cancelled", "order.cancelled"), gone)
    late_id = uuid4()
    late = Operation(late_id, Credit(1), frozenset({gone}), FAR, note=Note("commands"))
    account = await kept.change(key, lambda state: state.arrive(key, late, BEGAN), gone, late_id)
    known = account.find(late_id)
    assert known
    assert known.status == "settled"
    assert account.find(gone)


async def test_no_more_are_remembered_than_there_is_room_for(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdfast.entities.entities, "KEPT_MAX", 2)
    keys = [(await busy(kept))[0] for _ in range(3)]
    seen = [await kept.change(key, lambda state, key=key: credit_(state, key, 1)) for key in keys]  # type: ignore[misc]
    again = [await kept.read(key) for key in reversed(keys)]
    assert [one is other for one, other in zip(seen, reversed(again), strict=True)] == [False, True, True]
