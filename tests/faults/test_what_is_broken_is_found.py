"""A service that does not keep one rule is hurt with traffic at work, and the traffic says what is wrong. The same
hurts of services that keep all rules are those of the other tests here, which find nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

import aio_pika
import pytest

from contracts.topology import SERVICES
from local.parts import Parts
from tests.faults import latecomer
from tests.faults.process import live_and_die, start_broken
from tests.faults.stage import Stage
from tests.faults.traffic import SAGA_S_MAX, Traffic
from tests.service.sites import rows

SEED = 31
SHOPPERS = 3
AT_WORK = 5
OPENED = SHOPPERS
"""The first of what the queue holds: each shopper opens an account, and then credits it."""
CREDITS_LEFT = "SELECT 1 FROM outbox WHERE routing_key = 'coins.credited.commands'"
QUICK = {f"{name.upper()}_ASK_AGAIN_S": "1" for name in SERVICES}
"""An answer that is lost is asked for again before the traffic says that its saga is late."""
WAITS = "(shoppers wait after .*|(credit|order|redemption) .* is still open)"
"""Nothing else is found where a command is lost: nobody sends it again, and all others are served."""

Broken = Sequence[str]
Hurt = Callable[[Stage, Broken], Awaitable[None]]


@pytest.fixture
def spoilt(mortal_parts: Parts) -> Iterator[Stage]:
    """A stage that nobody uses afterwards."""
    opened = Stage(mortal_parts, QUICK)
    try:
        opened.open()
        yield opened
    finally:
        opened.close()


async def _killed_before_its_commit(stage: Stage, broken: Broken) -> None:
    """What it has in hand is lost with it, unless the broker has it still."""
    await stage.kill("user_service")
    async with Traffic(stage, SEED, SHOPPERS) as traffic:
        await live_and_die(stage.services["user_service"], "consumer", "before commit", broken=broken)
        await stage.start("user_service")
        await traffic.settled("a kill before the commit")


async def _killed_before_it_publishes(stage: Stage, broken: Broken) -> None:
    """Whoever comes next finds in the outbox that accounts were credited, which no service asks for again."""
    user_service = stage.services["user_service"]
    await stage.kill("user_service")
    async with Traffic(stage, SEED, SHOPPERS) as traffic:
        for _ in range(OPENED + 1):
            await live_and_die(user_service, "relay", "before publish")
            if await rows(stage.site, "user_service", CREDITS_LEFT):
                break
        await asyncio.to_thread(start_broken, user_service, broken)
        await traffic.settled("a kill before the publish")


async def _all_is_said_twice(stage: Stage, broken: Broken) -> None:
    """As by clients whose confirms are lost. Without unique keys the database keeps what it would refuse."""
    await stage.kill("user_service")
    await rows(stage.site, "user_service", "DROP INDEX IF EXISTS ledger_operation")
    await rows(stage.site, "user_service", "ALTER TABLE operations DROP CONSTRAINT IF EXISTS operations_pkey")
    await asyncio.to_thread(start_broken, stage.services["user_service"], broken)
    traffic = Traffic(stage, SEED, SHOPPERS)
    publish = traffic.client.connection.publish

    async def twice(exchange: str, key: str, message: aio_pika.Message, timeout_s: float) -> None:
        for _ in range(2):
            await publish(exchange, key, message, timeout_s)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traffic.client.connection, "publish", twice)
        async with traffic:
            await traffic.reaches(AT_WORK)
            await traffic.settled("each command sent twice")


async def _a_code_is_refused(stage: Stage, broken: Broken) -> None:
    """Nobody has the account, so that the code that was claimed is free again."""
    await stage.kill("promo_service")
    await asyncio.to_thread(start_broken, stage.services["promo_service"], broken)
    async with Traffic(stage, SEED, SHOPPERS) as traffic:
        redeem = await traffic.client.redeem_promo(f"{traffic.name}-nobody", traffic.shop.codes[0].name)
        assert (await traffic.client.wait_for_redemption(redeem.id)).state == "refused"
        await traffic.settled("a code of nobody's")


async def _a_command_overtakes(stage: Stage, broken: Broken) -> None:
    """The doubling comes to the account before the order that it names."""
    await stage.kill("user_service")
    await asyncio.to_thread(start_broken, stage.services["user_service"], broken)
    async with Traffic(stage, SEED, SHOPPERS) as traffic:
        await stage.kill("order_service")
        credit_id, order_id, redemption_id = await latecomer.send(traffic, f"{traffic.name}-early")
        await traffic.learn(credit_id, SAGA_S_MAX)
        await traffic.learn(redemption_id, SAGA_S_MAX)
        await stage.start("order_service")
        await traffic.learn(order_id, SAGA_S_MAX)
        await traffic.settled("a command overtaken by one that names it")


async def _more_is_bought_than_there_is(stage: Stage, broken: Broken) -> None:
    await stage.kill("order_service")
    await asyncio.to_thread(start_broken, stage.services["order_service"], broken)
    async with Traffic(stage, SEED, SHOPPERS) as traffic:
        account, scarce = f"{traffic.name}-collector", traffic.shop.scarce
        await traffic.client.open_account(account)
        await traffic.client.credit(account, scarce.price * 10)
        await traffic.client.place_order(account, scarce.name, (scarce.stock or 0) + 1)
        await traffic.settled("more bought than there is")


CASES: Sequence[tuple[Hurt, Broken, str]] = (
    (_killed_before_its_commit, ["acknowledges_before_the_commit"], rf"\A.*\n({WAITS}\n?)+\Z"),
    (_killed_before_it_publishes, ["deletes_what_was_left_behind"], r"credit .*: credited, .* no event ever said so"),
    (
        _all_is_said_twice,
        ["inbox_knows_nothing", "past_credit_is_not_recognised"],
        r"the answers make .* coins, it has",
    ),
    (
        _a_code_is_refused,
        ["use_of_a_code_is_kept"],
        r"audit: code .*: use of redemption .*, which is refused: expected",
    ),
    (_a_command_overtakes, ["after_is_ignored"], r"saga .* named .*, and stands before it"),
    (
        _more_is_bought_than_there_is,
        ["goods_are_promised_that_are_not_there"],
        r"dead letter of order_service: .*pieces_not_negative",
    ),
)


@pytest.mark.parametrize(("hurt", "broken", "found"), CASES, ids=[broken[-1] for _, broken, _ in CASES])
async def test_what_is_broken_is_found(spoilt: Stage, hurt: Hurt, broken: Broken, found: str) -> None:
    with pytest.raises(AssertionError, match=found):
        await hurt(spoilt, broken)


async def test_without_its_inbox_a_service_still_does_nothing_twice(spoilt: Stage) -> None:
    """What each account and saga keeps of itself is enough."""
    await _all_is_said_twice(spoilt, ["inbox_knows_nothing"])
