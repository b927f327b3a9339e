"""The AsyncAPI 3 document of a system, or of one of its services, generated from the models.

Source: AsyncAPI specification 3.0.0.
"""

from __future__ import annotations

import html
import json
from typing import Any

from holdfast.delivery.envelope import BATCH, SINGLE, Envelope
from holdfast.delivery.names import QUERIES_EXCHANGE, REPLIES_EXCHANGE, inbox_queue, queries_queue
from holdfast.delivery.queries import EVERY_SERVICE_QUERIES, Query
from holdfast.delivery.topology import Topology
from holdfast.delivery.words import Fact, Service


def document(topology: Topology, version: str, service: Service | None = None) -> dict[str, Any]:
    """What is sent and taken: by one service, or by all with their clients."""
    facts = [fact for fact in topology.facts.values() if service is None or _concerns(topology, fact, service)]
    queries = _queries(topology, service)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"{topology.title} {service}" if service else topology.title,
            "version": version,
            "description": "CloudEvents 1.0 over RabbitMQ. The routing key is the event's type, "
            "and in an answer about an operation ends with the exchange of whoever asked. "
            f"A message holds one event ({SINGLE}) or several with one routing key ({BATCH}).",
            **topology.info,
        },
        "defaultContentType": SINGLE,
        "channels": {fact.type: _fact_channel(topology, fact, service) for fact in facts}
        | {key: _query_channel(topology, key, query) for key, query in queries.items()}
        | {REPLIES_EXCHANGE: _replies_channel(queries)},
        "operations": dict(operation for fact in facts for operation in _fact_operations(topology, fact, service))
        | dict(_query_operation(key, query) for key, query in queries.items()),
        "components": {"schemas": _components([Envelope, *facts, *_asked_and_replied(queries)])},
    }


def schemas(topology: Topology) -> dict[str, dict[str, Any]]:
    """The JSON Schema of the envelope and of every fact's `data`, by file name."""
    return {"envelope": _schema(Envelope)} | {fact.type: _schema(fact) for fact in topology.facts.values()}


def page(service: Service, content: dict[str, Any]) -> str:
    """The service's document as a page that needs nothing from elsewhere."""
    rows = []
    for operation in content["operations"].values():
        channel = content["channels"][operation["channel"]["$ref"].rsplit("/", 1)[1]]
        rows.append(
            f"<tr><td>{operation['action']}</td><td><code>{html.escape(channel['address'])}</code></td>"
            f"<td>{html.escape(channel['x-exchange'])}</td><td>{html.escape(channel['description'])}</td></tr>"
        )
    return (
        f"<!doctype html><meta charset='utf-8'><title>{service}</title>"
        "<style>body{font:15px system-ui;margin:2em;max-width:70em}td{padding:.3em .8em;vertical-align:top}"
        "tr:nth-child(even){background:#f4f4f4}pre{background:#f4f4f4;padding:1em}</style>"
        f"<h1>{service}</h1><p>AsyncAPI 3: <a href='/asyncapi.json'>asyncapi.json</a></p>"
        "<table><tr><th>action<th>routing key<th>exchange<th>meaning</tr>" + "".join(rows) + "</table>"
        f"<h2>Schemas</h2><pre>{html.escape(json.dumps(content['components'], indent=2))}</pre>"
    )


def _concerns(topology: Topology, fact: type[Fact], service: Service) -> bool:
    return service in fact.consumers or fact.exchange == topology.exchanges[service]


def _queries(topology: Topology, service: Service | None) -> dict[str, type[Query]]:
    asked = [service] if service else list(topology.exchanges)
    found = {query.type: query for query in topology.queries.values() if query.service in asked}
    return found | {f"{each}.{query.type}": query for each in asked for query in EVERY_SERVICE_QUERIES.values()}


def _asked_and_replied(queries: dict[str, type[Query]]) -> list[type[Any]]:
    return [model for query in queries.values() for model in (query, query.reply)]


def _schema(model: type[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = model.model_json_schema(mode="validation")
    return schema


def _components(models: list[type[Any]]) -> dict[str, Any]:
    """The schemas by name, each part that several share only once, as references within one document must have it."""
    found: dict[str, Any] = {}
    for model in models:
        schema = _without_discriminators(model.model_json_schema(ref_template="#/components/schemas/{model}"))
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
    return found


def _without_discriminators(schema: Any) -> Any:
    """AsyncAPI's own `discriminator` is a text, pydantic's that of OpenAPI; `oneOf` and `const` say the same."""
    if isinstance(schema, list):
        return [_without_discriminators(each) for each in schema]
    if isinstance(schema, dict):
        return {key: _without_discriminators(each) for key, each in schema.items() if key != "discriminator"}
    return schema


def _ref(model: type[Any]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _bindings(exchange: str) -> dict[str, Any]:
    declared = {"name": exchange, "type": "topic", "durable": True, "autoDelete": False}
    return {"amqp": {"is": "routingKey", "exchange": declared, "bindingVersion": "0.3.0"}}


def _fact_channel(topology: Topology, fact: type[Fact], service: Service | None) -> dict[str, Any]:
    taker = service if service in fact.consumers else None
    address = fact.bound_by(topology.exchanges[taker] if taker else "{asked_by}")
    asked_by = {
        "description": f"The exchange of the service that asked, or `{topology.commands}`.",
        "enum": [each for each in topology.publishers if each != fact.exchange],
    }
    return {
        "address": address,
        **({"parameters": {"asked_by": asked_by}} if "{" in address else {}),
        "description": _text(fact),
        "x-exchange": fact.exchange,
        "x-queues": [inbox_queue(service) for service in fact.consumers],
        "x-audience": list(fact.audience),
        "messages": {
            fact.__name__: {
                "name": fact.type,
                "contentType": SINGLE,
                "summary": _text(fact).split("\n")[0],
                "payload": {
                    "allOf": [
                        _ref(Envelope),
                        {"type": "object", "properties": {"type": {"const": fact.type}, "data": _ref(fact)}},
                    ]
                },
            }
        },
        "bindings": _bindings(fact.exchange),
    }


def _fact_operations(topology: Topology, fact: type[Fact], service: Service | None) -> list[tuple[str, dict[str, Any]]]:
    name = fact.type.replace(".", "_")
    channel = {"$ref": f"#/channels/{fact.type}"}
    if service is None or fact.exchange == topology.exchanges[service]:
        found = [(f"send_{name}", {"action": "send", "channel": channel})]
    else:
        found = []
    for consumer in fact.consumers:
        if service in (None, consumer):
            found.append((f"{consumer}_receives_{name}", {"action": "receive", "channel": channel}))
    return found


def _query_channel(topology: Topology, key: str, query: type[Query]) -> dict[str, Any]:
    queue = queries_queue(query.service) if key in topology.queries else queries_queue(key.split(".")[0])
    return {
        "address": key,
        "description": _text(query),
        "x-exchange": QUERIES_EXCHANGE,
        "x-queues": [queue],
        "messages": {query.__name__: {"name": key, "contentType": "application/json", "payload": _ref(query)}},
        "bindings": _bindings(QUERIES_EXCHANGE),
    }


def _replies_channel(queries: dict[str, type[Query]]) -> dict[str, Any]:
    replies = {query.reply.__name__: query.reply for query in queries.values()}
    return {
        "address": None,
        "description": "Answers to queries, to the asker's own queue; null where what was asked about is unknown.",
        "x-exchange": REPLIES_EXCHANGE,
        "messages": {
            name: {"contentType": "application/json", "payload": {"oneOf": [_ref(reply), {"type": "null"}]}}
            for name, reply in replies.items()
        },
    }


def _query_operation(key: str, query: type[Query]) -> tuple[str, dict[str, Any]]:
    return f"answer_{key.replace('.', '_')}", {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{key}"},
        "reply": {
            "address": {
                "location": "$message.header#/reply_to",
                "description": f"Published to exchange {REPLIES_EXCHANGE} with this routing key.",
            },
            "channel": {"$ref": f"#/channels/{REPLIES_EXCHANGE}"},
            "messages": [{"$ref": f"#/channels/{REPLIES_EXCHANGE}/messages/{query.reply.__name__}"}],
        },
    }


def _text(model: type[Any]) -> str:
    return " ".join((model.__doc__ or "").split())
