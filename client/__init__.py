"""The Python client and the command line, for people who publish and watch."""

from client.client import Client, Sent
from client.errors import (
    CommandRefused,
    NotAllowed,
    NotConfigured,
    QueryRefused,
    StillOpen,
    Unconfirmed,
    Unreachable,
)

__all__ = [
    "Client",
    "CommandRefused",
    "NotAllowed",
    "NotConfigured",
    "QueryRefused",
    "Sent",
    "StillOpen",
    "Unconfirmed",
    "Unreachable",
]
