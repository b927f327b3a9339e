"""What a client says counts as a client's word, whatever type and whatever id it writes on the envelope."""

from __future__ import annotations

from uuid import uuid4

import pytest

from contracts.commands import OpenAccount
from contracts.events import CoinsCaptured, CoinsMultiplied, CoinsReserved, OrderConfirmed
from local.site import Site
from tests.service.facts import account_with, doubled, placed
from tests.service.probe import Probe, envelope
from tests.service.sites import value

BALANCE = "SELECT balance FROM accounts WHERE account_id = :a"


@pytest.mark.usefixtures("users")
async def test_a_command_under_the_id_of_an_event_to_come_does_not_suppress_it(site: Site, probe: Probe) -> None:
    account, order_id = await account_with(probe, 50), uuid4()
    confirmed = OrderConfirmed(order_id=order_id, account_id=account)
    await probe.send(OpenAccount(account_id=str(uuid4())), id=confirmed.announcement_id)
    await probe.send(placed(account, order_id))
    await probe.hear(CoinsReserved, order_id)
    await probe.send(confirmed, id=confirmed.announcement_id)
    await probe.hear(CoinsCaptured, order_id)
    assert await value(site, "user_service", BALANCE, a=account) == 30


@pytest.mark.usefixtures("users")
async def test_an_event_published_as_a_command_is_parked_and_stays_so_when_replayed(site: Site, probe: Probe) -> None:
    account, redemption_id = await account_with(probe, 50), uuid4()
    forged = envelope(doubled(account, redemption_id)).model_dump_json().encode()
    await probe.publish("client", "commands", OpenAccount.type, forged)
    for times in (1, 2, 3):
        parked = await probe.park("user_service.dead", str(redemption_id), times)
        assert "came by exchange 'commands', routing key 'account.open'" in parked.reason
        assert (parked.headers["exchange"], parked.headers["routing_key"]) == ("commands", OpenAccount.type)
        if times < 3:
            await probe.replay("user_service", parked)
    await probe.fence("user_service")
    assert not probe.announced(CoinsMultiplied, redemption_id)
    assert await value(site, "user_service", BALANCE, a=account) == 50
