"""Whatever bytes arrive, reading them gives messages or reasons, and both can be kept."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.topology import SHOP
from holdfast.delivery.envelope import BATCH, SINGLE
from holdfast.delivery.message import Message, Origin, decode

FACTS = SHOP.facts_for("user_service")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
FIELDS = ("specversion", "id", "source", "type", "time", "subject", "traceparent", "data", "correlationid")


@settings(deadline=None, max_examples=300)
@given(body=st.binary(), content_type=st.none() | st.text() | st.sampled_from([SINGLE, BATCH]))
def test_any_bytes(body: bytes, content_type: str | None) -> None:
    _read(body, content_type)


@settings(deadline=None, max_examples=300)
@given(
    envelope=st.dictionaries(st.sampled_from(FIELDS), JSON),
    data=st.dictionaries(st.sampled_from(["credit_id", "account_id", "amount", "after"]), JSON),
)
def test_anything_in_any_field(envelope: dict[str, Any], data: dict[str, Any]) -> None:
    right = {"specversion": "1.0", "id": str(uuid4()), "source": "/t", "type": "account.credit", "data": data}
    _read(json.dumps([envelope, {**right, **envelope}, right]).encode(), BATCH)


def _read(body: bytes, content_type: str | None) -> None:
    for content in decode(body, Origin("commands", "account.credit", content_type), FACTS):
        if not isinstance(content, Message):
            assert content.reason
            assert "\0" not in content.reason + content.content_type
            (content.reason + content.content_type).encode()
