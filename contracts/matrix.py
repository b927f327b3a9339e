"""The table of events and services in ARCHITECTURE.md. `python -m contracts.matrix` prints it."""

from __future__ import annotations

from contracts.base import Service
from contracts.topology import EXCHANGE_OF, FACTS, SERVICES, TERMINAL

_PUBLISHERS = {exchange: service for service, exchange in EXCHANGE_OF.items()}


def matrix() -> str:
    """Every command and event with who announces and who takes it, as a Markdown table."""
    lines = ["| type | sent by | " + " | ".join(SERVICES) + " |", "| --- | --- |" + " :-: |" * len(SERVICES)]
    for fact in FACTS.values():
        sender = _PUBLISHERS.get(fact.exchange) or " or ".join(fact.audience)
        cells = [_cell(service, fact.consumers) for service in SERVICES]
        name = f"`{fact.type}`" + (" (terminal)" if fact.type in TERMINAL else "")
        lines.append(f"| {name} | {sender} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(service: Service, consumers: tuple[Service, ...]) -> str:
    return "takes" if service in consumers else ""


if __name__ == "__main__":
    print(matrix())
