"""What is committed in docs/ is what the models say; `python -m contracts.asyncapi` writes it anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.topology import FACTS, SERVICES, SHOP
from holdfast import __version__
from holdfast.delivery.asyncapi import document, page
from holdfast.delivery.words import Service

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENTS: tuple[Service | None, ...] = (None, *SERVICES)


def refs(part: Any) -> Iterator[str]:
    """Every reference in the document."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for each in part.values():
            yield from refs(each)
    elif isinstance(part, list):
        for each in part:
            yield from refs(each)


def resolve(content: dict[str, Any], ref: str) -> Any:
    """What the reference points to. Raises `KeyError`."""
    assert ref.startswith("#/"), ref
    part: Any = content
    for step in ref[2:].split("/"):
        part = part[step]
    return part


def test_the_document_is_the_committed_one() -> None:
    committed = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())
    assert json.loads(json.dumps(document(SHOP, __version__))) == committed, "run: python -m contracts.asyncapi"


@pytest.mark.parametrize("service", DOCUMENTS, ids=str)
def test_every_reference_leads_somewhere(service: Service | None) -> None:
    content = document(SHOP, __version__, service)
    found = [*refs(content)]
    assert len(found) > 20
    for ref in found:
        resolve(content, ref)


@pytest.mark.parametrize("service", DOCUMENTS, ids=str)
def test_operations_have_the_fields_of_asyncapi_3(service: Service | None) -> None:
    """AsyncAPI 3.0.0, Operation Object and Operation Reply Object; other names would have to begin with `x-`."""
    content = document(SHOP, __version__, service)
    assert content["asyncapi"] == "3.0.0"
    for operation in content["operations"].values():
        assert {"action", "channel"} <= operation.keys() <= {"action", "channel", "reply"}
        assert operation["action"] in ("send", "receive")
        reply = operation.get("reply")
        if reply:
            assert reply.keys() == {"address", "channel", "messages"}
            assert resolve(content, reply["channel"]["$ref"])["address"] is None
            assert all(each["$ref"].startswith(reply["channel"]["$ref"]) for each in reply["messages"])


def test_every_fact_is_sent_once_and_received_by_each_of_its_consumers() -> None:
    operations = document(SHOP, __version__)["operations"]
    sent = [name for name, each in operations.items() if each["action"] == "send"]
    assert sent == [f"send_{name.replace('.', '_')}" for name in FACTS]
    received = {name for name in operations if "_receives_" in name}
    expected = {f"{to}_receives_{fact.type.replace('.', '_')}" for fact in FACTS.values() for to in fact.consumers}
    assert received == expected


@pytest.mark.parametrize("service", SERVICES)
def test_the_page_shows_every_operation_of_the_service(service: Service) -> None:
    content = document(SHOP, __version__, service)
    assert page(service, content).count("<tr><td>") == len(content["operations"])


def test_an_answer_has_the_address_by_which_its_taker_gets_it() -> None:
    channels = document(SHOP, __version__, "order_service")["channels"]
    assert channels["coins.reserved"]["address"] == "coins.reserved.order"
    assert channels["order.placed"]["address"] == "order.placed"
    answer = document(SHOP, __version__, "user_service")["channels"]["coins.reserved"]
    assert answer["address"] == "coins.reserved.{asked_by}"
    assert answer["parameters"]["asked_by"]["enum"] == ["commands", "order", "promo", "gift"]
