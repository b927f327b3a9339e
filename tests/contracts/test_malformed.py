"""What cannot be read is returned with a reason that names the field; nothing that is published raises anything."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.topology import FACTS
from holdfast.delivery.envelope import BATCH, BODY_BYTES_MAX, EVENTS_MAX, SINGLE
from holdfast.delivery.message import Message, Origin, Unreadable, decode
from tests.contracts.golden import GOLDEN

GOOD = json.loads(GOLDEN["order.place"])
PUT = json.loads(GOLDEN["promo.put"])
CREDIT = json.loads(GOLDEN["account.credit"])
MISSING = "MISSING"
"""Stands for a field that is left out."""


def reason_of(
    body: bytes, content_type: str | None = SINGLE, exchange: str = "commands", key: str = "order.place"
) -> str:
    """Why the only message in the body cannot be read; fails if it can."""
    [found] = decode(body, Origin(exchange, key, content_type), FACTS)
    assert isinstance(found, Unreadable), found
    return found.reason


def changed(sent: dict[str, object], field: str, raw: str) -> bytes:
    """The message with the JSON text `raw` in a field (`data.x`: one of its data)."""
    *outer, name = field.split(".")
    whole = json.loads(json.dumps(sent))
    part = whole["data"] if outer else whole
    part.pop(name, None)
    if raw == MISSING:
        return json.dumps(whole).encode()
    part[name] = "@here@"
    return json.dumps(whole).replace('"@here@"', raw).encode()


ORDER = (
    ("specversion", MISSING, "envelope: specversion: Field required"),
    ("specversion", '"0.3"', "envelope: specversion: Input should be '1.0' (given: \"0.3\")"),
    ("specversion", "1.0", "envelope: specversion: Input should be '1.0' (given: 1.0)"),
    ("id", MISSING, "envelope: id: Field required"),
    ("id", '"42"', "envelope: id: Input should be a valid UUID"),
    ("id", "42", "envelope: id: UUID input should be a string, bytes or UUID object (given: 42)"),
    ("source", MISSING, "envelope: source: Field required"),
    ("source", '""', "envelope: source: String should have at least 1 character"),
    ("type", MISSING, "envelope: type: Field required"),
    ("type", '"order.place.v2"', "type: 'order.place.v2' is not taken here; known types: account.credit"),
    ("type", '"order.plaice"', "type: 'order.plaice' is not taken here; known types: account.credit"),
    ("type", '"order.cancel"', "publish it to exchange 'commands' with routing key 'order.cancel'"),
    ("type", '"order.placed"', "publish it to exchange 'order' with routing key 'order.placed'"),
    ("time", '"yesterday"', "envelope: time: Input should be a valid datetime"),
    ("time", '"2030-01-01T00:00:00"', "envelope: time: Input should have timezone info"),
    ("datacontenttype", '"text/xml"', "envelope: datacontenttype: Input should be 'application/json'"),
    ("traceparent", '"00-x"', "envelope: traceparent: String should match pattern"),
    ("subject", '"' + "x" * 101 + '"', "envelope: subject: String should have at most 100 characters"),
    ("data", MISSING, "envelope: data: Field required"),
    ("data", "null", "envelope: data: Input should be a valid dictionary"),
    ("data", '"{}"', "envelope: data: Input should be a valid dictionary"),
    ("data", "[]", "envelope: data: Input should be a valid dictionary"),
    ("data", "{}", "order.place: order_id: Field required; account_id: Field required; item: Field required"),
    ("data.order_id", '"1"', "order.place: order_id: Input should be a valid UUID"),
    ("data.order_id", "null", "order.place: order_id: UUID input should be a string"),
    ("data.account_id", '""', "order.place: account_id: String should match pattern"),
    ("data.account_id", "7", "order.place: account_id: Input should be a valid string (given: 7)"),
    ("data.account_id", '"ada\\n"', "order.place: account_id: String should match pattern"),
    ("data.account_id", '"ada\\u0000"', "order.place: account_id: String should match pattern"),
    ("data.item", '"tea green"', "order.place: item: String should match pattern"),
    ("data.quantity", '"1"', 'order.place: quantity: Input should be a valid integer (given: "1")'),
    ("data.quantity", "-1", "order.place: quantity: Input should be greater than or equal to 1 (given: -1)"),
    ("data.quantity", "0", "order.place: quantity: Input should be greater than or equal to 1 (given: 0)"),
    ("data.quantity", "true", "order.place: quantity: Input should be a valid integer (given: true)"),
    ("data.quantity", "1.0", "order.place: quantity: Input should be a valid integer (given: 1.0)"),
    ("data.quantity", "1.5", "order.place: quantity: Input should be a valid integer (given: 1.5)"),
    ("data.quantity", "null", "order.place: quantity: Input should be a valid integer (given: null)"),
    ("data.quantity", "1000001", "order.place: quantity: Input should be less than or equal to 1000000"),
    ("data.quantity", "1" + "0" * 400, "order.place: quantity: Input should be less than or equal to 1000000"),
    ("data.quantity", "1" + "0" * 5000, "body: not JSON: number out of range"),
    ("data.quantity", "-1" + "0" * 5000, "body: not JSON: number out of range"),
    ("data.quantity", "NaN", "body: not JSON"),
    ("data.quantity", "Infinity", "body: not JSON"),
    ("data.deadline_s", "1e999", "body: the number 1e999 is out of range; send one that a double holds"),
    ("data.deadline_s", "0", "order.place: deadline_s: Input should be greater than 0 (given: 0)"),
    ("data.deadline_s", "-0.5", "order.place: deadline_s: Input should be greater than 0 (given: -0.5)"),
    ("data.deadline_s", '"60"', 'order.place: deadline_s: Input should be a valid number (given: "60")'),
    ("data.deadline_s", "2592001", "order.place: deadline_s: Input should be less than or equal to 2592000"),
    ("data.deadline_s", "true", "order.place: deadline_s: Input should be a valid number (given: true)"),
    ("data.after", '"x"', 'order.place: after: Input should be a valid tuple (given: "x")'),
    ("data.after", '["x"]', "order.place: after.0: Input should be a valid UUID"),
    ("data.after", json.dumps([GOOD["id"]] * 257), "order.place: after: Tuple should have at most 256 items"),
    ("data.quantity", '0, "later": ' + "[" * 150 + "]" * 150, "order.place: quantity: Input should be greater"),
    ("data.later", '"\\ud800"', "body: not JSON: unexpected end of hex escape"),
    ("data.later", "[" * 40_000 + "]" * 40_000, "body: not JSON: recursion limit exceeded"),
    ("data.later", "[" * 60_000 + "]" * 60_000, "body: more than 50000 commas and brackets"),
)

PROMO = (
    ("data.effect", "{}", "promo.put: effect: Unable to extract tag using discriminator 'kind'"),
    ("data.effect", '{"kind": "halve"}', "promo.put: effect: Input tag 'halve' found using 'kind' does not match"),
    ("data.effect", '{"kind": "multiply", "factor": 1}', "promo.put: effect.multiply.factor: Input should be greater"),
    ("data.effect", '{"kind": "multiply", "factor": 1001}', "promo.put: effect.multiply.factor: Input should be less"),
    ("data.effect", '{"kind": "bonus", "amount": 0}', "promo.put: effect.bonus.amount: Input should be greater"),
    ("data.effect", '{"kind": "bonus", "amount": "7"}', "promo.put: effect.bonus.amount: Input should be a valid int"),
    ("data.valid_from", '"2030-02-01T00:00:00Z"', "promo.put: message: Value error, valid_until must be later"),
    ("data.valid_from", '"2030-01-01T00:00:00"', "promo.put: valid_from: Input should have timezone info"),
    ("data.valid_until", '"9999-12-31T23:59:59-05:00"', "promo.put: valid_until: Input should be less than 9999-01-01"),
    (
        "data.valid_from",
        '"1969-12-31T23:59:59Z"',
        "promo.put: valid_from: Input should be greater than or equal to",
    ),
    ("data.scarce", '"queue"', "promo.put: scarce: Input should be 'wait' or 'refuse' (given: \"queue\")"),
    ("data.uses_max", "0", "promo.put: uses_max: Input should be greater than or equal to 1 (given: 0)"),
)

BODIES = (
    (b"", "body: not JSON"),
    (b"{", "body: not JSON"),
    (b"\xff\xfe\x00", "body: not JSON"),
    (json.dumps(GOOD).encode("utf-16"), "body: not JSON"),
    (b"hello", "body: not JSON"),
    (b"null", "envelope: message: Input should be a valid dictionary"),
    (b"[]", "envelope: message: Input should be a valid dictionary"),
    (b"42", "envelope: message: Input should be a valid dictionary"),
    (b'"text"', "envelope: message: Input should be a valid dictionary"),
    (b"[" * 40_000, "body: not JSON"),
    (b"[" * 100_000, "body: more than 50000 commas and brackets; send fewer values, in several messages"),
    (b'{"a":' * 40_000, "body: not JSON"),
    (b" " * (BODY_BYTES_MAX + 1), "body: 1048577 bytes; send at most 1048576"),
)


@pytest.mark.parametrize(
    "key", ["coins.reserved", "coins.reserved.gift", "coins.captured.order", "coins.reserved.order.x"]
)
def test_an_answer_by_the_key_of_another_is_not_taken(key: str) -> None:
    sent = json.loads(GOLDEN["coins.reserved"])
    sent["data"]["asked_by"] = "order"
    reason = reason_of(json.dumps(sent).encode(), exchange="user", key=key)
    assert reason.endswith("publish it to exchange 'user' with routing key 'coins.reserved.order'")
    elsewhere = reason_of(json.dumps(sent).encode(), exchange="commands", key=key)
    assert elsewhere.endswith("publish it to exchange 'user' with routing key 'coins.reserved.order'")


def test_the_good_ones_are_good() -> None:
    """So each case below is wrong for what was changed and nothing else."""
    for sent in (GOOD, PUT, CREDIT):
        [found] = decode(json.dumps(sent).encode(), Origin("commands", sent["type"], SINGLE), FACTS)
        assert isinstance(found, Message)


def case(value: object) -> str:
    """A test's name: the value, cut short."""
    return repr(value)[:40]


@pytest.mark.parametrize(("field", "raw", "reason"), ORDER, ids=case)
def test_a_wrong_order(field: str, raw: str, reason: str) -> None:
    assert reason in reason_of(changed(GOOD, field, raw))


@pytest.mark.parametrize(("field", "raw", "reason"), PROMO, ids=case)
def test_a_wrong_promo(field: str, raw: str, reason: str) -> None:
    assert reason in reason_of(changed(PUT, field, raw), key="promo.put")


@pytest.mark.parametrize("raw", ["0", "-1", "9007199254740992", '"50"', "50.0", "true", "[50]", "null", MISSING])
def test_a_wrong_amount(raw: str) -> None:
    assert reason_of(changed(CREDIT, "data.amount", raw), key="account.credit").startswith("account.credit: amount: ")


@pytest.mark.parametrize(("body", "reason"), BODIES, ids=case)
def test_a_wrong_body(body: bytes, reason: str) -> None:
    assert reason_of(body).startswith(reason)


@pytest.mark.parametrize(
    "content_type", [None, "", "application/json", "text/plain", "application/cloudevents", "x" * 999]
)
def test_a_wrong_content_type(content_type: str | None) -> None:
    assert reason_of(json.dumps(GOOD).encode(), content_type) == (
        f"content_type: {content_type!r}; send {SINGLE} (one event) or {BATCH} (a list of events)"
    )


@pytest.mark.parametrize("content_type", [SINGLE + "; charset=utf-8", "Application/CloudEvents+JSON"])
def test_a_content_type_may_have_parameters_and_any_case(content_type: str) -> None:
    [found] = decode(json.dumps(GOOD).encode(), Origin("commands", "order.place", content_type), FACTS)
    assert isinstance(found, Message)


@pytest.mark.parametrize(
    ("exchange", "key"), [("order", "order.place"), ("commands", "order.placed"), ("", "order_service"), ("dead", "")]
)
def test_a_message_that_came_another_way_is_told_the_right_one(exchange: str, key: str) -> None:
    """The broker's permissions are by exchange, so who publishes elsewhere could say what is not theirs to say."""
    reason = reason_of(json.dumps(GOOD).encode(), SINGLE, exchange, key)
    assert reason.startswith(f"type: 'order.place' came by exchange {exchange!r}")
    assert f"routing key {key!r}; publish it to" in reason
    assert reason.endswith("publish it to exchange 'commands' with routing key 'order.place'")


def test_what_an_operator_hands_back_counts_as_what_it_first_came_as() -> None:
    [found] = decode(json.dumps(GOOD).encode(), Origin("commands", "order.place", SINGLE, replayed=True), FACTS)
    assert isinstance(found, Message)
    [forged] = decode(json.dumps(GOOD).encode(), Origin("commands", "account.open", SINGLE, replayed=True), FACTS)
    assert isinstance(forged, Unreadable)
    assert "publish it to exchange 'commands' with routing key 'order.place'" in forged.reason


def test_an_id_counts_only_among_those_of_its_publisher() -> None:
    [command] = decode(json.dumps(GOOD).encode(), Origin("commands", "order.place", SINGLE), FACTS)
    [elsewhere] = decode(json.dumps(GOOD).encode(), Origin("order", "order.place", SINGLE), FACTS)
    assert command.id == elsewhere.id
    assert command.key != elsewhere.key


@pytest.mark.parametrize(("body", "of"), [(b"{}", "dict"), (b"1", "int"), (b'"x"', "str"), (b"null", "NoneType")])
def test_a_batch_is_a_list(body: bytes, of: str) -> None:
    assert reason_of(body, BATCH) == f"body: a batch is a JSON list of events, not {of}"


def test_a_batch_has_an_end() -> None:
    assert reason_of(json.dumps([{}] * (EVENTS_MAX + 1)).encode(), BATCH) == (
        "body: 501 events in one batch; send at most 500"
    )
    assert len(decode(json.dumps([{}] * EVENTS_MAX).encode(), Origin("commands", "x", BATCH), FACTS)) == EVENTS_MAX
    assert decode(b"[]", Origin("commands", "order.place", BATCH), FACTS) == []


def test_one_bad_event_costs_its_batch_nothing_and_can_be_sent_again_alone() -> None:
    bad = json.loads(changed(GOOD, "data.quantity", "0"))
    body = json.dumps([GOOD, bad, 7, GOOD]).encode()
    first, second, third, last = decode(body, Origin("commands", "order.place", BATCH), FACTS)
    assert first == last
    assert isinstance(first, Message)
    assert isinstance(second, Unreadable)
    assert (str(second.id), second.content_type, json.loads(second.body)) == (GOOD["id"], SINGLE, bad)
    assert isinstance(third, Unreadable)
    assert third.body == b"7"


TWICE = (
    ("id", '"x", "id": "y"', "id"),
    ("later", '1, "later": 1', "later"),
    ("data.quantity", '1, "quantity": "x"', "quantity"),
    ("data.quantity", '3, "quantity": 3', "quantity"),
    ("data.quantity", '3, "quant\\u0069ty": 3', "quantity"),
    ("data.later", '[{"a": {"b": 1, "c": 2, "b": 3}}]', "b"),
    ("data.later", '{"": 1, "": 1}', ""),
    ("data.later", '{"\\u0000": 1, "\\u0000": 1}', "\\x00"),
    ("data.later", "{" + ", ".join(['"' + "k" * 500 + '": 1'] * 2) + "}", "k" * 60),
)


@pytest.mark.parametrize(("field", "raw", "key"), TWICE, ids=case)
def test_a_key_that_is_there_twice_is_named(field: str, raw: str, key: str) -> None:
    """Readers differ about which one counts, so what one of them checked another may not have seen."""
    assert reason_of(changed(GOOD, field, raw)) == f"body: the key '{key}' is there twice in one object; send it once"
    batch = b"[" + json.dumps(GOOD).encode() + b"," + changed(GOOD, field, raw) + b"]"
    assert reason_of(batch, BATCH) == f"body: the key '{key}' is there twice in one object; send it once"


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.sampled_from((SINGLE, BATCH)))
def test_no_bytes_raise(body: bytes, content_type: str) -> None:
    for found in decode(body, Origin("commands", "order.place", content_type), FACTS):
        assert isinstance(found, Unreadable)
        assert found.reason


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(GOOD.keys() | {f"data.{name}" for name in GOOD["data"]})), values)
def test_no_value_raises(field: str, value: object) -> None:
    """Whatever a field holds, the message is read, or it says which field is wrong (or that it came the wrong way)."""
    body = changed(GOOD, field, json.dumps(value).replace("@here@", ""))
    [found] = decode(body, Origin("commands", "order.place", SINGLE), FACTS)
    if isinstance(found, Unreadable):
        # An object in `data` may lack any of the order's own fields.
        named = ("order_id", "data") if field == "data" else (field.rpartition(".")[2], "body: not JSON")
        assert any(name in found.reason for name in named)


finite = values.filter(lambda value: "Infinity" not in json.dumps(value))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(finite, finite, st.text(max_size=3), st.booleans())
def test_a_key_is_found_twice_whatever_it_holds(first: object, second: object, key: str, escaped: bool) -> None:
    """Colons in texts, and escapes that stand for colons, hide no key."""
    name = json.dumps(key, ensure_ascii=escaped)
    inside = ", ".join(f"{name}: {json.dumps(value, ensure_ascii=escaped)}" for value in (first, second))
    body = json.dumps(GOOD)[:-1] + ', "later": ["a:\\u003a\\u003a", {' + inside + "}]}"
    for sent in (body, body.replace("\\u003a", "")):
        assert "is there twice in one object" in reason_of(sent.encode())
    assert isinstance(decode(json.dumps({**GOOD, "later": [first, {key: second}]}).encode(), PLACED, FACTS)[0], Message)


PLACED = Origin("commands", "order.place", SINGLE)
