"""Of five hundred events in one message, the one that is malformed is parked, and the others have their effect."""

from __future__ import annotations

from uuid import uuid4

import pytest
from pydantic_core import from_json, to_json

from contracts.commands import CreditAccount, OpenAccount
from contracts.events import CoinsCredited
from holdfast.delivery.envelope import BATCH, encode
from holdfast.delivery.queries import ShowOutcome
from local.site import Site
from tests.service.probe import Probe, envelope
from tests.service.sites import value

MANY = 500


@pytest.mark.usefixtures("users")
async def test_only_the_malformed_one_of_five_hundred_is_parked(site: Site, probe: Probe) -> None:
    account = str(uuid4())
    await probe.send(OpenAccount(account_id=account))
    credits_ = [CreditAccount(credit_id=uuid4(), account_id=account, amount=1) for _ in range(MANY)]
    _, body = encode([envelope(each) for each in credits_])
    events = from_json(body)
    events[123]["data"]["amount"] = "one"
    await probe.publish("client", "commands", "account.credit", to_json(events), BATCH)
    await probe.hear(CoinsCredited, credits_[-1].credit_id)
    parked = await probe.park("user_service.dead", str(credits_[123].credit_id))
    assert "amount" in parked.reason
    assert from_json(parked.body)["id"] == events[123]["id"]
    await probe.fence("user_service")
    assert len(probe.parked("user_service.dead")) == 1
    heard = [each.correlationid for each in probe.announced(CoinsCredited)]
    assert heard == [str(each.credit_id) for each in credits_ if each is not credits_[123]]
    balance = "SELECT balance FROM accounts WHERE account_id = :a"
    assert await value(site, "user_service", balance, a=account) == MANY - 1


@pytest.mark.usefixtures("users")
async def test_a_batch_of_nothing_is_no_event(probe: Probe) -> None:
    await probe.publish("client", "commands", "account.credit", b"[]", BATCH)
    await probe.fence("user_service")
    assert not probe.parked("user_service.dead")


@pytest.mark.usefixtures("users")
async def test_what_is_sent_again_corrected_under_its_id_is_taken_however_soon(site: Site, probe: Probe) -> None:
    """The first is parked all the same, and a third is one too many."""
    account = str(uuid4())
    await probe.send(OpenAccount(account_id=account))
    credit = CreditAccount(credit_id=uuid4(), account_id=account, amount=5)
    sent = envelope(credit)
    _, body = encode([sent, sent, sent])
    events = from_json(body)
    events[0]["data"]["amount"] = "five"
    await probe.publish("client", "commands", "account.credit", to_json(events), BATCH)
    await probe.hear(CoinsCredited, credit.credit_id)
    assert "amount" in (await probe.park("user_service.dead", str(credit.credit_id))).reason
    await probe.fence("user_service")
    assert len(probe.parked("user_service.dead", str(credit.credit_id))) == 1
    assert await value(site, "user_service", "SELECT balance FROM accounts WHERE account_id = :a", a=account) == 5
    question = ShowOutcome(message_id=sent.id).model_dump_json().encode()
    assert (await probe.ask_raw(f"user_service.{ShowOutcome.type}", question))["answer"]["outcome"] == "handled"
