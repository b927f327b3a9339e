"""A client that an earlier version added may after provisioning what a client may today, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from aiormq.abc import AbstractChannel

from local.parts import Parts
from local.site import Site
from provision.management import Management
from provision.permissions import CLIENT_TAG, Rights, of_client
from tests.security.logins import DONE, REFUSED, Login, login, url_of
from tests.service.sites import until


@pytest.fixture(params=[CLIENT_TAG, ""], ids=["tagged", "from before there was a tag"])
def client(request: pytest.FixtureRequest, site: Site, parts: Parts) -> Iterator[str]:
    """A user with a client's rights from before `promo.show` was for operators alone. Its name is its password."""
    name, management = f"old-{uuid4().hex[:8]}", parts.broker.management
    rights = of_client(name)
    management.call("PUT", "users", name, body={"password": name, "tags": request.param})
    _grant(management, site, name, rights)
    for topic in rights.topics:
        if topic.exchange != "queries":
            _restrict(management, site, name, topic.exchange, topic.write, topic.read)
    yield name
    management.call("DELETE", "users", name)


async def test_it_may_no_longer_ask_what_is_for_operators(site: Site, parts: Parts, client: str) -> None:
    """By the connection that it has, neither; one whose user may what it might before stays open."""
    async with login(url_of(site, parts, client, client), client) as opened:
        assert await _asks(opened, "promo.show") == DONE
        await asyncio.to_thread(site.provision)
        await until(lambda: opened.connection.is_closed, "the broker closes the connection")
    async with login(url_of(site, parts, client, client), client) as opened:
        assert await _asks(opened, "promo.show") == REFUSED
        assert await _asks(opened, "account.show") == DONE
        await asyncio.to_thread(site.provision)
        assert await _asks(opened, "account.show") == DONE


def test_a_restriction_that_is_no_longer_wanted_is_gone(site: Site, parts: Parts, client: str) -> None:
    management = parts.broker.management
    _restrict(management, site, client, "unrouted", ".*", ".*")
    site.provision()
    assert _topics(management, site, client) == {topic.exchange for topic in of_client(client).topics}
    (row,) = management.call("GET", "users", client, "permissions")
    rights = of_client(client)
    assert (row["configure"], row["write"], row["read"]) == (rights.configure, rights.write, rights.read)


def test_a_tag_counts_also_where_the_names_of_own_queues_were_others(site: Site, parts: Parts, client: str) -> None:
    management = parts.broker.management
    tagged = CLIENT_TAG in management.call("GET", "users", client)["tags"]
    _grant(management, site, client, Rights("^mine$", ".*", ".*", ()))
    site.provision()
    (row,) = management.call("GET", "users", client, "permissions")
    assert row["write"] == (of_client(client).write if tagged else ".*")


def test_a_user_in_another_virtual_host_gets_nothing_in_ours(site: Site, parts: Parts, client: str) -> None:
    management = parts.broker.management
    management.call("DELETE", "permissions", site.vhost, client)
    site.provision()
    assert management.call("GET", "users", client, "permissions") == []


def _grant(management: Management, site: Site, user: str, rights: Rights) -> None:
    body = {"configure": rights.configure, "write": rights.write, "read": rights.read}
    management.call("PUT", "permissions", site.vhost, user, body=body)


def _restrict(management: Management, site: Site, user: str, exchange: str, write: str, read: str) -> None:
    body = {"exchange": exchange, "write": write, "read": read}
    management.call("PUT", "topic-permissions", site.vhost, user, body=body)


def _topics(management: Management, site: Site, user: str) -> set[str]:
    rows: list[dict[str, Any]] = management.call("GET", "topic-permissions", site.vhost, user)
    return {row["exchange"] for row in rows}


async def _asks(opened: Login, question: str) -> str:
    return await opened.attempt(partial(_publish, key=question))


async def _publish(channel: AbstractChannel, key: str) -> None:
    await channel.basic_publish(b"{}", exchange="queries", routing_key=key)
