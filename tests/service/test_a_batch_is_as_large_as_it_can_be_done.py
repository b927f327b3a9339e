"""What arrives together is handled together, in its order, and in parts where all of it takes too long."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

import holdfast.delivery.database
from contracts.commands import CreditAccount, OpenAccount
from contracts.events import CoinsCredited
from holdfast.delivery.envelope import encode
from holdfast.delivery.message import Announcement, Message, Origin, Unreadable, unreadable_key
from holdfast.delivery.unit_of_work import ATTEMPTS_ALONE, Arrived
from holdfast.delivery.words import Fact
from holdfast.entities.entities import Entities
from local.site import Site
from tests.service.facts import account_with
from tests.service.probe import Probe, envelope
from tests.service.sites import make, rows, running, value
from user_service.handlers import AccountHandlers

MANY = 64
EACH_S, IDLE_S_MAX = 0.02, 0.3
"""All of them take four times as long as a transaction may stand still."""
BALANCE = "SELECT balance FROM accounts WHERE account_id = :a"


async def test_a_batch_that_takes_too_long_is_handled_in_parts(
    site: Site, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = AccountHandlers.handle

    def slowly(self: AccountHandlers, state: Entities, message: Message, now: datetime) -> Sequence[Announcement]:
        time.sleep(EACH_S)  # stands for work
        return handle(self, state, message, now)

    async with running(site, "user_service"):
        account = await account_with(probe, 1)
    monkeypatch.setattr(AccountHandlers, "handle", slowly)
    monkeypatch.setattr(holdfast.delivery.database, "IDLE_S_MAX", IDLE_S_MAX)
    credits_ = [CreditAccount(credit_id=uuid4(), account_id=account, amount=1) for _ in range(MANY)]
    content_type, body = encode([envelope(each) for each in credits_])
    with capture_logs() as logs:
        async with running(site, "user_service"):
            await probe.publish("client", "commands", "account.credit", body, content_type)
            await probe.hear(CoinsCredited, credits_[-1].credit_id)
    assert next(line["messages"] for line in logs if "halves" in line["event"]) == MANY
    assert await value(site, "user_service", BALANCE, a=account) == 1 + MANY
    kept = await rows(
        site, "user_service", "SELECT operation_id FROM ledger WHERE account_id = :a ORDER BY seq", a=account
    )
    assert [row[0] for row in kept][1:] == [each.credit_id for each in credits_]


async def test_what_may_have_killed_the_service_is_handled_alone_and_in_its_place(site: Site) -> None:
    account, credit_id = str(uuid4()), uuid4()
    opening, credit = _message(OpenAccount(account_id=account)), _message(_credit(account, credit_id))
    instance = make(site, "user_service")
    for _ in range(ATTEMPTS_ALONE):
        await instance.work._begin_attempt([opening.key])
    origin = Origin("commands", "", None)
    broken = Unreadable("no event", "", b"", opening.id, unreadable_key("commands", opening.id))
    await instance.work.handle([Arrived(broken, origin)])
    batch = [Arrived(each, origin, redelivered=True) for each in (broken, opening)]
    await instance.work.handle([*batch, Arrived(credit, origin)])
    await instance.engine.dispose()
    assert await value(site, "user_service", BALANCE, a=account) == 5


def _credit(account: str, credit_id: UUID) -> CreditAccount:
    return CreditAccount(credit_id=credit_id, account_id=account, amount=5)


def _message(fact: Fact) -> Message:
    return Message(uuid4(), uuid4(), fact)
