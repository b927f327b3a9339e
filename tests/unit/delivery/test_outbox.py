"""What a transaction announced, as the messages that carry it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from contracts.commands import OpenAccount
from contracts.events import AccountOpened, CoinsRefused, OperationWaiting
from contracts.services import PARTICIPANTS
from contracts.topology import SHOP
from holdfast.delivery.envelope import split
from holdfast.delivery.message import Announcement, Message
from holdfast.delivery.outbox import Outgoing, outgoing

CAUSE = Message(uuid4(), uuid4(), OpenAccount(account_id="ada"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REFUSED = {each.exchange for each in PARTICIPANTS if "coins.refused" in each.answers}


def refused(asked_by: str, operation_id: UUID) -> CoinsRefused:
    return CoinsRefused(account_id="ada", operation_id=operation_id, asked_by=asked_by, kind="x", reason="y")


def sent(*facts: CoinsRefused | AccountOpened | OperationWaiting) -> list[Outgoing]:
    return outgoing([(Announcement(each), CAUSE) for each in facts], "/test", NOW, SHOP.taken)


def test_one_message_holds_answers_of_one_type_to_one_asker() -> None:
    ids = [uuid4() for _ in range(4)]
    messages = sent(*(refused(*each) for each in zip(["order", "gift", "order", "promo"], ids, strict=True)))
    assert [(each.exchange, each.routing_key) for each in messages] == [
        ("user", "coins.refused.order"),
        ("user", "coins.refused.gift"),
        ("user", "coins.refused.promo"),
    ]
    held = [[event["correlationid"] for event in split(each.content_type, each.body)] for each in messages]
    assert held == [[str(ids[0]), str(ids[2])], [str(ids[1])], [str(ids[3])]]


@pytest.mark.parametrize("asked_by", [*(each.exchange for each in PARTICIPANTS), "commands", "guest"])
def test_an_answer_must_reach_a_queue_if_its_asker_is_a_service_that_takes_it(asked_by: str) -> None:
    (message,) = sent(refused(asked_by, uuid4()))
    assert message.required == (asked_by in REFUSED)


def test_what_no_service_takes_may_reach_nobody() -> None:
    waiting = OperationWaiting(
        account_id="ada", operation_id=uuid4(), asked_by="order", kind="x", position=0, waits_for=(), deadline=NOW
    )
    assert [each.required for each in sent(AccountOpened(account_id="ada"), waiting)] == [False, False]
