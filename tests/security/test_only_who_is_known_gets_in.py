"""Logins: over AMQP, and over the management API."""

from __future__ import annotations

import asyncio
import base64
import json
from http import HTTPStatus
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request
from uuid import uuid4

import aiormq
import pytest
from aiormq.exceptions import ProbableAuthenticationError
from pamqp import commands, frame
from pamqp.header import ProtocolHeader

from local.parts import Parts
from local.site import Site
from provision.direct import open_directly
from provision.secrets import BROKER_USERS, broker_password
from tests.security.logins import login, url_of
from tests.security.policy import SERVICES
from tests.service.sites import until

LOOKS = ("overview", "whoami", "nodes", "vhosts", "connections", "channels", "consumers", "queues/{v}", "exchanges/{v}")
"""What an operator may look at."""
DEEDS: tuple[tuple[str, str, dict[str, object] | None], ...] = (
    ("GET", "users", None),
    ("GET", "permissions", None),
    ("GET", "definitions", None),
    ("GET", "definitions/{v}", None),
    ("PUT", "users/{u}", {"password": "own", "tags": "administrator"}),
    ("DELETE", "users/client", None),
    ("PUT", "permissions/{v}/{u}", {"configure": ".*", "write": ".*", "read": ".*"}),
    ("PUT", "topic-permissions/{v}/{u}", {"exchange": "commands", "write": ".*", "read": ".*"}),
    ("PUT", "policies/{v}/mine", {"pattern": ".*", "definition": {"message-ttl": 1}}),
    ("PUT", "operator-policies/{v}/mine", {"pattern": ".*", "definition": {"message-ttl": 1}}),
    ("PUT", "vhost-limits/{v}/max-connections", {"value": 1}),
    ("PUT", "user-limits/client/max-connections", {"value": 0}),
    ("PUT", "global-parameters/mine", {"value": 1}),
    ("PUT", "parameters/shovel/{v}/mine", {"value": {}}),
    ("PUT", "vhosts/mine", {}),
    ("DELETE", "vhosts/{v}", None),
    ("PUT", "exchanges/{v}/mine", {"type": "topic"}),
    ("DELETE", "exchanges/{v}/user", None),
    ("POST", "exchanges/{v}/user/publish", {"routing_key": "coins.credited"}),
    ("POST", "exchanges/{v}/dead/publish", {"routing_key": "user_service"}),
    ("PUT", "queues/{v}/mine", {}),
    ("DELETE", "queues/{v}/user_service", None),
    ("DELETE", "queues/{v}/user_service/contents", None),
    ("POST", "queues/{v}/user_service/get", {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}),
    ("POST", "bindings/{v}/e/user/q/user_service", {"routing_key": "#"}),
    ("DELETE", "bindings/{v}/e/user/q/order_service/coins.reserved.order", None),
)
"""What over AMQP or by any other way is for the administrator alone."""


@pytest.mark.parametrize("user", [*BROKER_USERS, "guest", "nobody"])
async def test_no_login_without_the_password(site: Site, parts: Parts, user: str) -> None:
    for password in ("", "wrong", user, "guest"):
        with pytest.raises(ProbableAuthenticationError):
            await aiormq.connect(url_of(site, parts, user, password))


@pytest.mark.parametrize("user", [*SERVICES, "client", "operator"])
async def test_nobody_enters_another_virtual_host(site: Site, parts: Parts, user: str) -> None:
    password = parts.settings[broker_password(user)]
    for vhost in ("/", "elsewhere"):
        with pytest.raises(Exception, match=r"Connection\.Close|NOT_ALLOWED"):
            await aiormq.connect(url_of(site, parts, user, password, vhost))


async def test_nobody_enters_without_a_name(parts: Parts) -> None:
    """From RabbitMQ 4.0 on there is an anonymous login, which stands for `guest`."""
    host, _, port = parts.broker.address.partition(":")
    for mechanism, response in (("ANONYMOUS", ""), ("EXTERNAL", ""), ("PLAIN", "\0\0"), ("PLAIN", "\0guest\0guest")):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(ProtocolHeader().marshal())
        assert isinstance(await _frame(reader), commands.Connection.Start)
        answer = commands.Connection.StartOk(client_properties={}, mechanism=mechanism, response=response)
        writer.write(frame.marshal(answer, 0))
        said = await _frame(reader)
        assert said is None or isinstance(said, commands.Connection.Close), (mechanism, said)
        writer.close()


async def test_provisioning_removes_guest(site: Site, parts: Parts) -> None:
    management = parts.broker.management
    management.call("PUT", "users", "guest", body={"password": "guest", "tags": "administrator"})
    site.provision()
    assert "guest" not in {row["name"] for row in management.call("GET", "users")}


@pytest.mark.parametrize("user", [*SERVICES, "client", "operator", "guest"])
def test_the_management_api_is_for_looking(site: Site, parts: Parts, user: str) -> None:
    for path in LOOKS:
        came = _call(parts, site, user, "GET", path)
        assert came == (HTTPStatus.OK if user == "operator" else HTTPStatus.UNAUTHORIZED), path
    for method, path, body in DEEDS:
        came = _call(parts, site, user, method, path, body)
        assert came in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN), (method, path, came)
    assert not [row for row in parts.broker.management.call("GET", "users") if row["name"] == f"{user}-own"]


async def test_who_is_in_may_ask_how_long_a_queue_is(site: Site) -> None:
    """RabbitMQ has no permission for it; docs/security.md says so among the known limits."""
    async with login(site.amqp_url("client"), "client") as client:
        channel = await client.connection.channel()
        assert (await channel.queue_declare("order_service", passive=True)).message_count == 0


@pytest.mark.parametrize("user", ["user_service", "client", "operator"])
async def test_nobody_ends_anothers_connection(site: Site, parts: Parts, user: str) -> None:
    name = f"kept-{uuid4()}"
    async with login(f"{site.amqp_url('client')}?name={name}", "client") as client:
        (found,) = await until(lambda: asyncio.to_thread(_connections, parts, name), "the connection is listed")
        came = await asyncio.to_thread(_call, parts, site, user, "DELETE", f"connections/{quote(found)}")
        assert came == HTTPStatus.UNAUTHORIZED
        assert not client.connection.is_closed


def _connections(parts: Parts, name: str) -> list[str]:
    rows = parts.broker.management.call("GET", "connections")
    return [row["name"] for row in rows if row.get("user_provided_name") == name]


def _call(parts: Parts, site: Site, user: str, method: str, path: str, body: dict[str, object] | None = None) -> int:
    """The HTTP status; FORBIDDEN also where the management passes on that AMQP refused it, as a bad request."""
    place = urlsplit(parts.broker.management_url)
    login = f"{user}:{parts.settings.get(broker_password(user), 'guest')}"
    url = f"http://{place.hostname}:{place.port}/api/{path.format(v=quote(site.vhost), u=f'{user}-own')}"
    headers = {
        "Authorization": "Basic " + base64.b64encode(login.encode()).decode(),
        "Content-Type": "application/json",
    }
    if body is not None and "publish" in path:
        body = {"properties": {}, "payload": str(uuid4()), "payload_encoding": "string", **body}
    data = None if body is None else json.dumps(body).encode()
    try:
        with open_directly(Request(url, data, headers, method=method), within_s=20) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            refused = error.code == HTTPStatus.BAD_REQUEST and "access_refused" in error.read().decode().lower()
            return HTTPStatus.FORBIDDEN if refused else error.code


async def _frame(reader: asyncio.StreamReader) -> object:
    """The broker's next frame; None if it hangs up instead."""
    async with asyncio.timeout(20):
        received = b""
        while True:
            try:
                more = await reader.read(4096)
            except ConnectionResetError:
                return None
            if not more:
                return None
            received += more
            if received.endswith(b"\xce"):
                return frame.unmarshal(received)[2]
