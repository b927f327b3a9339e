"""The table of services says how much waits and how much is in flight, from whatever figures a service has."""

from __future__ import annotations

import pytest

from client.commands_operate import _open
from holdfast.delivery.queries import StatusView

PENDING = {
    "operations_waiting": 2.0,
    "operations_waiting_oldest_seconds": 70.0,
    "operations_outside": 1.0,
    "reservations_in_flight": 4.0,
    "reservations_in_flight_oldest_seconds": 80.0,
}


@pytest.mark.parametrize(
    ("figures", "waiting", "in_flight"),
    [
        (PENDING, "3", "4"),
        ({**PENDING, "orders_placed": 5.0, "orders_reserved": 6.0, "orders_open_oldest_seconds": 9.0}, "3", "11"),
        ({**PENDING, "redemptions_claimed": 0.0}, "3", "0"),
        ({"gifts_open": 7.0}, "0", "7"),
        ({}, "0", "0"),
    ],
)
def test_sagas_are_in_flight_and_not_their_reservations_too(
    figures: dict[str, float], waiting: str, in_flight: str
) -> None:
    view = StatusView(
        service="s",
        instance="i",
        version="v",
        url="u",
        healthy=True,
        problems=(),
        outbox_rows=0,
        outbox_oldest_s=0.0,
        parked=0,
        gauges=figures,
    )
    assert _open(view) == (waiting, in_flight)
