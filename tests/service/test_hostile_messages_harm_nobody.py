"""What cannot be handled is parked once, with a reason that helps; what comes before and after it flows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from contracts.base import COINS_MAX
from contracts.commands import CreditAccount, FulfilmentRejected, OpenAccount, PlaceOrder, PutItem, RedeemPromo
from contracts.events import CoinsCredited, CoinsRefused, OrderFailed, OrderPlaced, PromoRefused
from holdfast.delivery.envelope import BATCH, BODY_BYTES_MAX, SINGLE
from holdfast.delivery.names import REPLAY_EXCHANGE
from local.site import Site
from tests.service.facts import account_with, item_with, reserved
from tests.service.probe import Probe, envelope
from tests.service.sites import Instance, value

MARK = "3e0c6a2e-0000-4000-8000-00000000"
NUL, FOREIGN = "\0", "\ud800"


def _credit(**changes: Any) -> dict[str, Any]:
    data = {"credit_id": str(uuid4()), "account_id": "nobody", "amount": 5}
    return {"specversion": "1.0", "id": str(uuid4()), "source": "/t", "type": "account.credit", "data": data, **changes}


def _data(**changes: Any) -> dict[str, Any]:
    made = _credit()
    return {**made, "data": {**made["data"], **changes}}


HOSTILE: dict[str, tuple[Any, str | None, str]] = {
    "unknown type": (_credit(type="account.explode"), SINGLE, "not taken here; known types: account.credit"),
    "newer version": (_credit(type="account.credit.v2"), SINGLE, "'account.credit.v2' is not taken here"),
    "another type's key": (_credit(type="account.open"), SINGLE, "came by exchange 'commands', routing key"),
    "another exchange": (_credit(type="order.placed"), SINGLE, "publish it to exchange 'order'"),
    "content type": (_credit(), "text/plain", "content_type: 'text/plain'"),
    "no content type": (_credit(), None, "content_type: None"),
    "not JSON": (b"{ amount: 5", SINGLE, "body: not JSON"),
    "not text": (b"\xff\xfe\x00", SINGLE, "body: not JSON"),
    "empty": (b"", SINGLE, "body: not JSON"),
    "a list as a single": ([_credit()], SINGLE, "envelope"),
    "a single as a list": (_credit(), BATCH, "a batch is a JSON list"),
    "too many events": ([_credit()] * 1001, BATCH, "1001 events in one batch"),
    "too large": (_data(note="x" * BODY_BYTES_MAX), SINGLE, "send at most"),
    "too deep": (b"[" * 10_000, SINGLE, "body: not JSON"),
    "text for a number": (_data(amount="5"), SINGLE, "amount: Input should be a valid integer"),
    "a fraction": (_data(amount=1.5), SINGLE, "amount"),
    "a truth": (_data(amount=True), SINGLE, "amount"),
    "negative": (_data(amount=-5), SINGLE, "amount: Input should be greater than or equal to 1"),
    "zero": (_data(amount=0), SINGLE, "amount"),
    "more than there is": (_data(amount=2**53), SINGLE, "amount: Input should be less than or equal to"),
    "huge": (_data(amount=10**4000), SINGLE, "amount"),
    "infinite": (_data(amount=float("inf")), SINGLE, "body: not JSON"),
    "no data": ({"specversion": "1.0"}, SINGLE, "data: Field required"),
    "null": (b"null", SINGLE, "envelope"),
    "an id of NUL": (_credit(id=NUL), SINGLE, "id: Input should be a valid UUID"),
    "a saga of NUL": (_data(credit_id=NUL), SINGLE, "credit_id: Input should be a valid UUID"),
    "an account of NUL": (_data(account_id=NUL), SINGLE, "account_id"),
    "half a character": (_data(account_id=FOREIGN), SINGLE, "body: not JSON"),
    "a content type of NUL": (_credit(), f"a{NUL}b", "content_type"),
    "a key twice": (b'{"id": 1, "id": 2}', SINGLE, "the key 'id' is there twice in one object; send it once"),
    "more than a double": (b'{"id": 1e400}', SINGLE, "the number 1e400 is out of range"),
    "a key of NUL": (_credit(**{NUL: 1}, id=5), SINGLE, "id"),
}


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize("name", HOSTILE)
async def test_what_cannot_be_read_is_parked_once_with_a_reason(probe: Probe, name: str) -> None:
    content, content_type, reason = HOSTILE[name]
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    await probe.fence("user_service")
    await probe.publish("client", "commands", "account.credit", body, content_type)
    await probe.fence("user_service")
    parked = await probe.park("user_service.dead", "")
    assert reason in parked.reason
    assert parked.headers["exchange"] == "commands"
    assert parked.headers["routing_key"] == "account.credit"
    assert parked.body == body or json.loads(parked.body) == content
    await probe.fence("user_service")
    assert len(probe.parked("user_service.dead")) == 1


async def test_a_newer_command_that_nobody_takes_is_kept_aside(probe: Probe) -> None:
    await probe.publish("client", "commands", "order.place.v2", b"{}")
    assert (await probe.park("unrouted.dead", "")).body == b"{}"


@pytest.mark.usefixtures("users")
async def test_an_operation_on_an_unknown_account_is_refused(probe: Probe) -> None:
    credit_id = uuid4()
    await probe.send(CreditAccount(credit_id=credit_id, account_id=str(uuid4()), amount=5))
    assert (await probe.hear(CoinsRefused, credit_id))["reason"] == "unknown_account"


@pytest.mark.usefixtures("users")
async def test_an_id_that_was_used_for_something_else_is_parked(site: Site, probe: Probe) -> None:
    account, credit_id = await account_with(probe, 50), uuid4()
    await probe.send(CreditAccount(credit_id=credit_id, account_id=account, amount=5))
    await probe.send(CreditAccount(credit_id=credit_id, account_id=account, amount=6))
    assert "use a new id" in (await probe.park("user_service.dead", str(credit_id))).reason
    balance = "SELECT balance FROM accounts WHERE account_id = :a"
    assert await value(site, "user_service", balance, a=account) == 55


@pytest.mark.usefixtures("users")
async def test_more_than_an_account_can_hold_is_refused(probe: Probe) -> None:
    account, credit_id = await account_with(probe, 2**53 - 1), uuid4()
    await probe.send(CreditAccount(credit_id=credit_id, account_id=account, amount=1))
    assert (await probe.hear(CoinsRefused, credit_id))["reason"] == "balance_limit"


@pytest.mark.usefixtures("orders")
async def test_an_unknown_item_and_a_sum_beyond_all_coins_fail_the_order(probe: Probe) -> None:
    dear, unknown, much, affordable = f"item-{uuid4()}", uuid4(), uuid4(), uuid4()
    await probe.send(PutItem(item=dear, price=COINS_MAX // 3 + 1, stock=10))
    await probe.send(PlaceOrder(order_id=unknown, account_id="buyer", item="no-such-item"))
    assert (await probe.hear(OrderFailed, unknown))["reason"] == "unknown_item"
    await probe.send(PlaceOrder(order_id=much, account_id="buyer", item=dear, quantity=3))
    assert (await probe.hear(OrderFailed, much))["reason"] == "amount_limit"
    await probe.send(PlaceOrder(order_id=affordable, account_id="buyer", item=dear, quantity=2))
    assert (await probe.hear(OrderPlaced, affordable))["amount"] == 2 * (COINS_MAX // 3 + 1)
    assert not probe.announced(OrderPlaced, much)


@pytest.mark.usefixtures("promos")
async def test_an_unknown_code_is_refused(probe: Probe) -> None:
    redemption_id = uuid4()
    await probe.send(RedeemPromo(redemption_id=redemption_id, account_id="fan", code="no-such-code"))
    assert (await probe.hear(PromoRefused, redemption_id))["reason"] == "code_not_accepted"


@pytest.mark.usefixtures("orders")
async def test_a_reason_that_no_database_can_hold_is_parked_and_the_order_stays_open(probe: Probe) -> None:
    item, order_id = await item_with(probe, 0, "external"), uuid4()
    await probe.send(PlaceOrder(order_id=order_id, account_id="buyer", item=item))
    await probe.send(reserved("buyer", order_id))
    rejected = envelope(FulfilmentRejected(order_id=order_id)).model_dump(mode="json", exclude_none=True)
    rejected["data"]["reason"] = f"broken{NUL}"
    await probe.publish("operator", "commands", "fulfilment.rejected", json.dumps(rejected).encode())
    assert "reason" in (await probe.park("order_service.dead", str(order_id))).reason
    await probe.send(FulfilmentRejected(order_id=order_id, reason="broken"))
    assert (await probe.hear(OrderFailed, order_id))["reason"] == "broken"


@pytest.mark.usefixtures("users")
async def test_a_parked_message_is_handled_when_it_is_sent_right(probe: Probe) -> None:
    account, credit_id = await account_with(probe, 0 + 1), uuid4()
    wrong = envelope(CreditAccount(credit_id=credit_id, account_id=account, amount=5))
    await probe.publish("client", "commands", "account.credit", wrong.model_dump_json().encode(), "text/plain")
    parked = await probe.park("user_service.dead", str(credit_id))
    await probe.replay("user_service", replace(parked, content_type=SINGLE))
    await probe.hear(CoinsCredited, credit_id)


@pytest.mark.usefixtures("users")
async def test_what_says_that_it_is_encoded_is_parked(probe: Probe) -> None:
    await probe.publish("client", "commands", "account.credit", json.dumps(_credit()).encode(), content_encoding="gzip")
    assert "content_encoding: 'gzip'; send the body as it is" in (await probe.park("user_service.dead", "gzip")).reason


async def test_a_handed_back_letter_with_headers_that_fill_a_frame_is_parked_like_any_other(
    probe: Probe, users: Instance
) -> None:
    """Made printable, each of these characters is three bytes: no frame would hold the dead letter with both."""
    headers = {"exchange": "\x01" * 30_000, "routing_key": "\x01" * 30_000}
    await probe.publish("operator", REPLAY_EXCHANGE, "user_service", b'{"by": "hand"}', headers=headers)
    parked = await probe.park("user_service.dead", "hand")
    assert parked.headers["exchange"] == "\N{REPLACEMENT CHARACTER}" * 255
    assert await users.health() == []


@pytest.mark.usefixtures("users")
async def test_any_client_may_only_say_what_a_client_says(probe: Probe) -> None:
    with pytest.raises(Exception, match="ACCESS_REFUSED"):
        await probe.publish("client", "user", "coins.credited", b"{}")
    account = str(uuid4())
    await probe.send(OpenAccount(account_id=account))
    await probe.fence("user_service")
