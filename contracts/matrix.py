"""The table in ARCHITECTURE.md of events that services take from each other. `python -m contracts.matrix` prints it."""

from __future__ import annotations

from contracts.services import PARTICIPANTS
from contracts.topology import FACTS

_OURS = {each.exchange: each.service for each in PARTICIPANTS if not each.words}
"""Services with words of their own tell in their own folders what they announce."""


def matrix() -> str:
    """Every event that another service takes, with who announces and who takes it, as a Markdown table."""
    services = list(_OURS.values())
    lines = ["| event | announced by | " + " | ".join(services) + " |", "| --- | --- |" + " :-: |" * len(services)]
    for fact in FACTS.values():
        takers = [service for service in services if service in fact.consumers]
        if fact.exchange in _OURS and takers:
            cells = ["takes" if service in takers else "" for service in services]
            lines.append(f"| `{fact.type}` | {_OURS[fact.exchange]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(matrix())
