"""Names of exchanges and queues that every system has, and the limits of its messages and queues."""

from __future__ import annotations

from holdfast.delivery.words import Service

DEAD_EXCHANGE = "dead"
"""Where a service parks what it cannot handle, and the broker what it gives up on; routing key: the service."""
REPLAY_EXCHANGE = "replay"
"""How an operator hands a dead letter back; routing key: the service."""
DEATH_HEADER = "x-death"
"""The broker's mark on what a queue dead-lettered. Who may declare a queue can have it send on what it gets, to any
exchange that he may publish to and under a routing key that he may not."""
QUERIES_EXCHANGE = "queries"
REPLIES_EXCHANGE = "replies"
"""Answers to queries; routing key: the name of the asker's own reply queue."""
UNROUTED_EXCHANGE = "unrouted"
"""The alternate exchange of that of commands: what no service takes."""
UNROUTED_QUEUE = "unrouted.dead"

MESSAGE_BYTES_MAX = 2 * 1024 * 1024
"""What the broker takes at all. A body above `BODY_BYTES_MAX` but below this is parked with its reason."""

DELIVERY_LIMIT = 50
"""Deliveries after which the broker dead-letters a message. High, because a killed consumer raises the count of every
message it had prefetched; a message that crashes its service is found by the attempts counted in the database."""
DEAD_DELIVERY_LIMIT = 1_000_000
"""Looking at a dead letter counts as a delivery, and must never be the reason for losing it."""


def inbox_queue(service: Service) -> str:
    """The one queue through which all events of a service arrive."""
    return service


def dead_queue(service: Service) -> str:
    """Where the service's dead letters wait for an operator."""
    return f"{service}.dead"


def queries_queue(service: Service) -> str:
    """Where questions to a service arrive; it is not durable, since a question outlives nobody."""
    return f"{service}.queries"
