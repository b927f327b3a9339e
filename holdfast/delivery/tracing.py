"""One saga is one OpenTelemetry trace, where an exporter is configured; where none is, nothing is loaded or paid."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.delivery.message import Message

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_CONFIGURED_BY = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Tracer:
    """Records the handling of a message as a span, a child of the trace context that the message carries.

    Without a provider it passes the context on as it came.
    """

    def __init__(self, provider: TracerProvider | None, service: str) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("holdfast") if provider else None
        self._service = service

    @contextmanager
    def handling(self, message: Message) -> Iterator[str | None]:
        """Handle the message; yields the trace context for what it leads to."""
        if self._tracer is None:
            yield message.trace
            return
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        propagator = TraceContextTextMapPropagator()
        parent = propagator.extract({"traceparent": message.trace} if message.trace else {})
        carrier: dict[str, str] = {}
        attributes = {
            "messaging.system": "rabbitmq",
            "messaging.message.id": str(message.id),
            "messaging.operation.type": "process",
        }
        if message.fact.saga_field not in message.fact.secret_fields:
            attributes["holdfast.saga"] = message.fact.saga
        name = f"{self._service} {message.fact.type}"
        with self._tracer.start_as_current_span(name, parent, SpanKind.CONSUMER, attributes):
            propagator.inject(carrier)
            yield carrier.get("traceparent", message.trace)

    def stop(self) -> None:
        """Export what is still held."""
        if self._provider:
            self._provider.shutdown()


def tracer(service: str) -> Tracer:
    """The tracer that the standard OTEL_* environment variables ask for."""
    if not any(os.environ.get(name) for name in _CONFIGURED_BY):
        return Tracer(None, service)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracer(provider, service)
