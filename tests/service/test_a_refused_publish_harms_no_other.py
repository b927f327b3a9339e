"""The broker ends a channel for one refused publish, and tells all who await a confirm on it that they were refused."""

from __future__ import annotations

import asyncio

import pytest

from client.client import Client, Sent
from client.errors import NotAllowed
from contracts.commands import PutItem
from local.site import Site

ROUNDS, TOGETHER = 10, 10


async def test_only_the_one_that_is_refused_is_said_to_be(site: Site) -> None:
    async with Client(site.client_env()["HOLDFAST_AMQP_URL"]) as client:
        for _ in range(ROUNDS):
            refused = PutItem(item="gift", price=1, stock=1, fulfilment="instant")
            credits_ = [client.credit("alice", 1) for _ in range(TOGETHER)]
            *sent, one = await asyncio.gather(*credits_, client.send(refused), return_exceptions=True)
            assert all(isinstance(each, Sent) for each in sent)
            assert isinstance(one, NotAllowed)


async def test_what_is_refused_alone_is_refused(site: Site) -> None:
    async with Client(site.client_env()["HOLDFAST_AMQP_URL"]) as client:
        with pytest.raises(NotAllowed, match=r"may not publish promo\.show"):
            await client.ask.promo("ABC")
