"""A redemption waits for a use that may yet come back, on the promo service's own database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.commands import PutPromo, RedeemPromo
from contracts.events import CoinsCredited, CoinsRefused
from contracts.queries import PromoView, ShowPromo
from contracts.roles import Bonus
from holdfast.delivery.words import Fact
from local.site import Site
from tests.service.sites import Instance, arrived, kept_as, rows, unstarted, value

STATES = "SELECT redemption_id, concat_ws(' ', state, reason) AS state FROM redemptions WHERE code_hash = :c"


class Code:
    """A code of its own with its redemptions, by number. `r1`, … redeem it on an account."""

    def __init__(self, uses_max: int | None = None) -> None:
        self.name = f"code-{uuid4()}"
        self.ids: dict[int, UUID] = {}
        self.accounts: dict[int, str] = {}
        self.put = PutPromo(code=self.name, effect=Bonus(amount=5), uses_max=uses_max)

    def redeem(self, number: int, account: str, **said: Any) -> Fact:
        self.ids[number], self.accounts[number] = uuid4(), f"{account}-{self.name}"
        return RedeemPromo(redemption_id=self.ids[number], account_id=self.accounts[number], code=self.name, **said)

    def effect(self, number: int) -> Fact:
        return CoinsCredited(**self._asked(number), kind="bonus", amount=5)

    def refuse(self, number: int) -> Fact:
        return CoinsRefused(**self._asked(number), kind="bonus", reason="unknown_account")

    def _asked(self, number: int) -> dict[str, Any]:
        return {"operation_id": self.ids[number], "account_id": self.accounts[number], "asked_by": "promo"}

    async def states(self, site: Site) -> list[str]:
        """How each redemption stands, in order, and why."""
        kept = await rows(site, "promo_service", STATES, c=kept_as(site, self.name))
        states = {row.redemption_id: row.state for row in kept}
        return [states[each] for each in self.ids.values()]

    async def uses(self, site: Site) -> int:
        found = "SELECT count FROM uses WHERE use_of = :c"
        return int(await value(site, "promo_service", found, c=kept_as(site, self.name)))


async def handle(instance: Instance, *facts: Fact, together: bool) -> None:
    """Handle these in one transaction, or each in its own."""
    delivered = [arrived(instance, fact) for fact in facts]
    for batch in [delivered] if together else [[each] for each in delivered]:
        await instance.work.handle(batch)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("ends", ["effect", "refuse"])
async def test_an_answer_reaches_all_that_it_answers(site: Site, together: bool, ends: str) -> None:
    code = Code(uses_max=1)
    async with unstarted(site, "promo_service") as instance:
        redeemed = [code.redeem(number, account) for number, account in enumerate("abbc", 1)]
        await handle(instance, code.put, *redeemed, together=together)
        assert await code.states(site) == ["claimed", "waiting", "waiting", "waiting"]
        await handle(instance, getattr(code, ends)(1), together=together)
        if ends == "effect":
            assert await code.states(site) == ["redeemed", *["refused used_up"] * 3]
        else:
            assert await code.states(site) == ["refused unknown_account", "claimed", "waiting", "waiting"]
            await handle(instance, code.refuse(2), code.refuse(4), code.effect(3), together=together)
            refused = "refused unknown_account"
            assert await code.states(site) == [refused, refused, "redeemed", refused]
    assert await code.uses(site) == 1
    assert not await rows(site, "promo_service", "SELECT 1 FROM redemptions WHERE awaits IS NOT NULL")
    assert not await rows(site, "promo_service", "SELECT 1 FROM operations WHERE pending")


@pytest.mark.parametrize("account", ["a", "b"])
async def test_a_wait_ends_at_its_deadline_and_another_gets_the_use(site: Site, account: str) -> None:
    code = Code(uses_max=1)
    async with unstarted(site, "promo_service") as instance:
        redeemed = [code.redeem(1, "a"), code.redeem(2, account, wait_s=0.001), code.redeem(3, account)]
        await handle(instance, code.put, *redeemed, together=True)
        assert await code.states(site) == ["claimed", "waiting", "waiting"]
        while await instance.work.handle_due():
            pass
        assert await code.states(site) == ["claimed", "refused wait_deadline_passed", "waiting"]
        await handle(instance, code.refuse(1), code.effect(3), together=False)
    assert await code.states(site) == ["refused unknown_account", "refused wait_deadline_passed", "redeemed"]


async def test_an_operator_sees_who_has_and_who_wants_a_use(site: Site) -> None:
    code = Code(uses_max=2)
    async with unstarted(site, "promo_service") as instance:
        redeemed = [code.redeem(number, account) for number, account in enumerate("abc", 1)]
        await handle(instance, code.put, *redeemed, code.effect(1), together=False)
        async with instance.reader.connect() as connection:
            view = await instance.domain.answers[ShowPromo](connection, ShowPromo(code=code.name))
        gauges = await _gauges(instance)
    assert isinstance(view, PromoView)
    assert (view.uses, view.uses_max, view.scarce, view.pending_count) == (2, 2, "wait", 2)
    assert [(each.operation_id, each.state, each.waits_for) for each in view.pending] == [
        (code.ids[2], "reserved", ()),
        (code.ids[3], "waiting", (code.ids[2],)),
    ]
    assert gauges["redemptions_claimed"] >= 1
    assert gauges["operations_waiting"] >= 1


async def _gauges(instance: Instance) -> dict[str, float]:
    async with instance.reader.connect() as connection:
        return dict(await instance.domain.gauges(connection))


@pytest.mark.parametrize("seed", range(3))
async def test_two_replicas_use_what_there_is_and_no_more(site: Site, seed: int) -> None:
    random, codes = Random(seed), [Code(uses_max=2), Code(uses_max=3)]
    redeemed: list[Fact] = [code.redeem(number, random.choice("abcd")) for number in range(30) for code in codes]
    async with unstarted(site, "promo_service") as one, unstarted(site, "promo_service") as other:
        await handle(one, *(code.put for code in codes), together=True)
        await _at_once(one, other, redeemed)
        while ends := [end for code in codes for end in await _ends(site, code, random)]:
            await _at_once(one, other, ends)
    for code in codes:
        states = await code.states(site)
        winners = [code.accounts[number] for number, state in enumerate(states) if state == "redeemed"]
        assert len(winners) == len(set(winners)) == await code.uses(site)
        assert all(state == "redeemed" or state.startswith("refused ") for state in states)
        assert len(winners) == code.put.uses_max or "refused used_up" not in states
    assert await value(site, "promo_service", "SELECT count(*) FROM inbox WHERE parked_reason IS NOT NULL") == 0


async def _ends(site: Site, code: Code, random: Random) -> list[Fact]:
    states = await code.states(site)
    claimed = [number for number, state in enumerate(states) if state == "claimed"]
    return [code.effect(each) if random.random() < 0.3 else code.refuse(each) for each in claimed]


async def _at_once(one: Instance, other: Instance, facts: Sequence[Fact]) -> None:
    """Both handle all of them, in batches of their own; the inbox lets each count once."""
    delivered = [arrived(one, fact) for fact in facts]

    async def work(instance: Instance, size: int) -> None:
        for begin in range(0, len(delivered), size):
            await instance.work.handle(delivered[begin : begin + size])

    await asyncio.gather(work(one, 3), work(other, 4))
