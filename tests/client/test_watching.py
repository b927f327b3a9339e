"""The timeline says the essentials of every command and event, and follows one account where one is named."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

import pytest
from aio_pika.abc import AbstractIncomingMessage

from client.dead import letter
from client.tap import Follower, Seen, _read
from client.timeline import line
from contracts import commands as c
from contracts import events as e
from contracts.base import ShopFact
from contracts.roles import Bonus, Multiply
from holdfast.delivery.envelope import BATCH, SINGLE, Envelope, encode
from holdfast.delivery.words import Fact

A, B = UUID("aaaaaaaa-0000-4000-8000-000000000001"), UUID("bbbbbbbb-0000-4000-8000-000000000002")
AT = datetime(2030, 1, 1, 12, tzinfo=UTC)
DOUBLE = Multiply(factor=2)

LINES: list[tuple[Fact, str]] = [
    (c.OpenAccount(account_id="alice"), ""),
    (c.CreditAccount(credit_id=A, account_id="alice", amount=50), "aaaaaaaa 50 coins"),
    (c.PlaceOrder(order_id=A, account_id="alice", item="book", quantity=2), "aaaaaaaa 2 x book"),
    (c.RedeemPromo(redemption_id=B, account_id="alice", code="X", after=(A,)), "bbbbbbbb X after aaaaaaaa"),
    (c.CancelOrder(order_id=A, account_id="alice"), "aaaaaaaa"),
    (c.FulfilmentRejected(order_id=A, reason="no lamps"), "aaaaaaaa no lamps"),
    (c.PutItem(item="book", price=20, stock=5), "book: 20 coins, 5 in stock"),
    (c.PutItem(item="book", price=20), "book: 20 coins, 0 in stock"),
    (c.PutItem(item="lamp", price=20, fulfilment="external"), "lamp: 20 coins, fulfilled externally"),
    (
        c.PutItem(item="sword", price=20, stock=1, fulfilment="external"),
        "sword: 20 coins, 1 in stock, fulfilled externally",
    ),
    (c.PutPromo(code="X", effect=Bonus(amount=5)), "X: +5"),
    (e.CoinsCaptured(account_id="alice", operation_id=A, asked_by="order", amount=20), "aaaaaaaa 20 coins"),
    (
        e.CoinsMultiplied(account_id="alice", operation_id=B, asked_by="promo", factor=2, added=30),
        "bbbbbbbb x2: 30 coins added",
    ),
    (
        e.CoinsRefused(
            account_id="alice", operation_id=A, asked_by="order", kind="reserve", reason="insufficient_coins"
        ),
        "reserve aaaaaaaa: insufficient_coins",
    ),
    (
        e.OperationWaiting(
            account_id="alice", operation_id=B, asked_by="promo", kind="multiply", position=1, waits_for=(A,)
        ),
        "multiply bbbbbbbb waits for aaaaaaaa",
    ),
    (
        e.OperationAccepted(
            account_id="alice", operation_id=B, asked_by="promo", kind="multiply", position=1, waits_for=(A,)
        ),
        "multiply bbbbbbbb is accepted and waits for aaaaaaaa",
    ),
    (
        e.OrderWaiting(order_id=A, account_id="alice", item="book", position=1, waits_for=(B,)),
        "aaaaaaaa book waits for bbbbbbbb",
    ),
    (e.PromoWaiting(redemption_id=A, account_id="alice", position=1, waits_for=(B,)), "aaaaaaaa waits for bbbbbbbb"),
    (e.OrderFailed(order_id=A, account_id="alice", reason="rejected"), "aaaaaaaa rejected"),
    (e.PromoClaimed(redemption_id=B, account_id="alice", effect=DOUBLE, wait_s=5.0, join_s=9.0), "bbbbbbbb: x2"),
    (e.PromoRedeemed(redemption_id=B, account_id="alice", added=3), "bbbbbbbb: 3 coins added"),
]


@pytest.mark.parametrize(("fact", "essentials"), LINES, ids=[fact.type for fact, _ in LINES])
def test_each_line_says_when_whose_what_and_the_essentials(fact: Fact, essentials: str) -> None:
    words = line(1.5, "alice", fact).plain.split(maxsplit=3)
    assert words[:3] == ["1.500s", "alice", fact.type]
    assert "".join(words[3:]) == essentials


def _seen(fact: Fact) -> Seen:
    return Seen(0.0, _envelope(fact), fact)


def _envelope(fact: Fact) -> Envelope:
    data = fact.model_dump(mode="json", exclude_none=True)
    return Envelope(specversion="1.0", id=B, source="test", type=fact.type, data=data)


def test_one_account_is_followed_with_the_fulfilment_of_its_orders() -> None:
    alice = Follower("alice")
    accepted = c.FulfilmentAccepted(order_id=A)
    assert alice.account_of(_seen(accepted)) is None
    assert alice.account_of(_seen(c.PlaceOrder(order_id=A, account_id="alice", item="book"))) == "alice"
    assert alice.account_of(_seen(accepted)) == "alice"
    assert alice.account_of(_seen(c.OpenAccount(account_id="bob"))) is None
    assert alice.account_of(_seen(c.PutItem(item="book", price=1))) is None


def test_without_an_account_all_are_followed() -> None:
    everyone = Follower(None)
    assert everyone.account_of(_seen(c.OpenAccount(account_id="bob"))) == "bob"
    assert everyone.account_of(_seen(c.PutItem(item="book", price=1))) == "-"


class _Delivery:
    """As much of a delivery as reading it takes."""

    def __init__(
        self,
        body: bytes,
        content_type: str = SINGLE,
        routing_key: str = "",
        headers: Mapping[str, object] | None = None,
        user_id: str | None = None,
        exchange: str = "commands",
    ) -> None:
        self.body, self.content_type, self.routing_key = body, content_type, routing_key
        self.headers, self.user_id = headers or {}, user_id
        self.message_id: str | None = None
        self.timestamp: datetime | None = None
        self.exchange = exchange

    def as_message(self) -> AbstractIncomingMessage:
        return cast(AbstractIncomingMessage, self)


def test_batches_are_read_event_by_event_and_what_is_unreadable_is_passed_over() -> None:
    known = _envelope(c.OpenAccount(account_id="alice"))
    unknown = known.model_copy(update={"type": "account.closed"})
    content_type, body = encode([known, unknown, known])
    assert [seen.fact.type for seen in _read(_Delivery(body, content_type).as_message(), 0.0)] == ["account.open"] * 2
    assert _read(_Delivery(b"{", BATCH).as_message(), 0.0) == []
    assert _read(_Delivery(body, "text/plain").as_message(), 0.0) == []


def test_a_letter_that_a_service_parked() -> None:
    came = {"reason": "amount: too small", "exchange": "commands", "routing_key": "account.credit"}
    headers = {**came, "parked_at": AT.isoformat()}
    body = encode([_envelope(c.CreditAccount(credit_id=A, account_id="alice", amount=1))])[1]
    delivery = _Delivery(body, routing_key="user_service", headers=headers, user_id="user_service")
    found = letter("user_service", delivery.as_message())
    assert (found.reason, found.exchange, found.routing_key) == ("amount: too small", "commands", "account.credit")
    assert (found.type, found.account, found.id, found.at) == ("account.credit", "alice", str(B), AT)


def test_a_letter_that_the_broker_gave_up_on() -> None:
    keys = ["order.placed"]
    death = {"reason": "delivery_limit", "queue": "user_service", "exchange": "order", "routing-keys": keys, "time": AT}
    delivery = _Delivery(b"{}", headers={"x-death": [death]}, user_id="order_service")
    found = letter("user_service", delivery.as_message())
    assert found.reason == "given up by the broker: delivery_limit in queue user_service"
    assert (found.exchange, found.routing_key, found.at) == ("order", "order.placed", AT)


@pytest.mark.parametrize(
    ("sender", "exchange", "key", "origin"),
    [
        (None, "commands", "account.credit", ("commands", "account.credit")),
        ("client", "commands", "account.credit", ("commands", "account.credit")),
        ("client", "commands", "catalog.put", ("commands", "")),
        ("client", "user", "coins.credited.promo", ("commands", "")),
        ("user_service", "user", "coins.reserved.order", ("user", "coins.reserved.order")),
        ("user_service", "user", "coins.reserved", ("user", "")),
        ("client", "replay", "user_service", ("commands", "")),
        ("promo_service", "promo", "promo.claimed", ("promo", "promo.claimed")),
        ("promo_service", "order", "order.placed", ("promo", "")),
        ("operator", "commands", "catalog.put", ("user", "coins.credited.promo")),
        ("order_service", "commands", "account.open", ("user", "coins.credited.promo")),
    ],
)
def test_a_letter_came_as_its_sender_may_have_sent_it(
    sender: str | None, exchange: str, key: str, origin: tuple[str, str]
) -> None:
    """Headers count if their writer, for whom the broker vouches, is the service itself or an operator."""
    claim = {"exchange": "user", "routing_key": "coins.credited.promo"}
    death = {"reason": "delivery_limit", "queue": "order_service", "exchange": exchange, "routing-keys": [key]}
    found = letter(
        "order_service", _Delivery(b"{}", headers={**claim, "x-death": [death]}, user_id=sender).as_message()
    )
    assert (found.exchange, found.routing_key) == origin


def test_a_letter_that_no_service_takes() -> None:
    found = letter("", _Delivery(b"not json", routing_key="account.close").as_message())
    assert found.reason == "type: no service takes 'account.close'"
    assert (found.type, found.id, found.account, found.at) == ("", "", "", None)
    assert found.key == letter("", _Delivery(b"not json", routing_key="account.close").as_message()).key


@pytest.mark.parametrize(
    ("exchange", "headers", "key"),
    [
        ("commands", {}, "catalog.put.v2"),
        ("commands", {"x-death": [{}]}, ""),
        ("reply.client.1", {}, ""),
    ],
    ids=["published there", "dead-lettered there", "forwarded there"],
)
def test_a_letter_that_no_service_takes_came_by_its_key_if_it_was_published_under_it(
    exchange: str, headers: dict[str, object], key: str
) -> None:
    """By another way its sender may not have been allowed to."""
    delivery = _Delivery(b"{}", routing_key="catalog.put.v2", headers=headers, exchange=exchange)
    assert letter("", delivery.as_message()).routing_key == key


@pytest.mark.parametrize(
    "headers",
    [
        {"x-death": ["never"]},
        {"x-death": [{"routing-keys": 7, "time": "once", "reason": {}}]},
        {"x-death": {}},
        {"parked_at": "0001-01-01T00:00:00"},
        {"parked_at": "9999-12-31T23:59:59+00:00"},
    ],
    ids=str,
)
@pytest.mark.parametrize("service", ["user_service", ""])
def test_a_letter_with_headers_that_make_no_sense_is_a_letter(service: str, headers: dict[str, object]) -> None:
    """A command that no service takes keeps its sender's headers as they are."""
    found = letter(service, _Delivery(b"{}", headers=headers).as_message())
    assert (found.at, found.body) == (None, b"{}")


def test_a_service_that_has_joined_the_system_since_has_a_line_as_well() -> None:
    class GiftSent(ShopFact):
        type = "gift.sent"
        exchange = "gift"
        saga_field = "gift_id"

        gift_id: UUID
        account_id: str

    assert "gift.sent" in line(1.0, "alice", GiftSent(gift_id=A, account_id="alice")).plain
