"""No password, key or promo code is shown or kept anywhere, whatever goes wrong: in logs, queues, tables or traces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from contracts.services import participant
from contracts.topology import SERVICES, SHOP
from local.guard import throwaway_parts
from local.parts import Parts
from local.service import Service
from local.site import Site
from provision import secrets
from tests.security import canaries
from tests.security.canaries import Places, as_bytes, call, page
from tests.security.logins import all_powerful, login
from tests.service.sites import until

pytestmark = pytest.mark.timeout(400)

WRONG = f"wrong-{uuid4().hex}"
"""A secret too, though it opens nothing: it may be that of another place."""
TAKEN, UNKNOWN = f"TAKEN{uuid4().hex}".upper(), f"UNKNOWN{uuid4().hex}".upper()
"""Promo codes that somebody redeems, one of which there is."""
NOT_URLS = (
    "{scheme}://user:{wrong}@127.0.0.1:port/name",
    "{scheme}//user:{wrong}@[::1/name",
    "{scheme}://user:{wrong}@127.0.0.1:1/name?nonsense=1",
)
MALFORMED = (
    b"nonsense",
    b"",
    b"[]",
    b'{"specversion": "1.0"}',
    b'{"specversion": "1.0", "id": "x", "source": "/", "type": "account.open", "data": {"account_id": 7}}',
    b"\xff\xfe",
)
CONNECTIONS_EACH = 3
"""For events, for questions and for what is announced."""
REFUSED = "ACCESS_REFUSED|authentication failed|Connection refused|Connect call failed"
"""What a service says of a login or a place that it goes on trying."""
PROVISION = "import provision.__main__ as program; program.WAIT_S_MAX = 1; raise SystemExit(program.main())"


@pytest.fixture(scope="module")
def own_parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """A broker and a cluster with secrets of their own."""
    with throwaway_parts(secrets.ensure(tmp_path_factory.mktemp("canary") / ".env")) as started:
        yield started


@pytest.fixture(scope="module")
async def places(own_parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Everything that was seen of a system that was started, used, misused and cut off from its parts."""
    found, site, folder = Places(), own_parts.site(), tmp_path_factory.mktemp("cli")
    found.add("users before provisioning", as_bytes(own_parts.broker.management.call("GET", "users")))
    await asyncio.to_thread(_set_up, found, own_parts, site)
    with canaries.collector() as (endpoint, exported), _services(site, endpoint) as services:
        for each in services:
            await asyncio.to_thread(each.wait_healthy)
        async with login(site.amqp_url("operator"), "operator") as operator:
            channel = await operator.connection.channel()
            for exchange in SHOP.publishers:
                await channel.queue_declare(f"tap.operator.{exchange}", exclusive=True)
                await channel.queue_bind(f"tap.operator.{exchange}", exchange, "#")
            await asyncio.to_thread(_use, found, site, folder)
            await _misuse(site)
            await _cut_off(found, own_parts, site, services)
            found.add("command line", await asyncio.to_thread(call, "-m", "client.cli", "demo", env=site.client_env()))
            for exchange in SHOP.publishers:
                place = "commands" if exchange == "commands" else "announcements"
                found.add(place, *await canaries.drain(channel, f"tap.operator.{exchange}"))
        await _look(found, own_parts, site, services)
        await asyncio.to_thread(_mistakes, found, own_parts, site, folder)
        for each in services:
            await asyncio.to_thread(each.stop)
        found.add("traces", *exported)
    found.add("logs", *(file.read_bytes() for file in own_parts.folder.glob("*.log")))
    return found


SEEN = {
    "users before provisioning": "admin",
    "provision": "are ready",
    "migrations": "exit code 0",
    "command line": "healthy",
    "state of the command line": "songbird",
    "mistakes": "ACCESS_REFUSED",
    "logs": "started",
    "logs of the cut": "password authentication failed",
    "pages": "problems",
    "pages of the cut": "consumer",
    "traces": "service.name",
    "announcements": "coins.multiplied",
    "commands": "promo.redeem",
    "dead letters": "reason",
    "tables": "ledger",
    "pg_stat_activity": "user_service",
    "broker": "connection_name",
    "command lines": "user_service",
}
"""What must have been found in each place, or else the search there would prove nothing."""


@pytest.mark.parametrize("place", SEEN)
async def test_each_place_was_looked_at(places: Places, place: str) -> None:
    assert places.hold(place, SEEN[place]), (place, [each[-300:] for each in places.found.get(place, [])][-5:])


async def test_no_secret_is_anywhere(places: Places, own_parts: Parts) -> None:
    assert places.found.keys() == SEEN.keys()
    known = {name: value for name, value in own_parts.settings.items() if name.endswith(("PASSWORD", "KEY"))}
    assert len(known) >= len(secrets.BROKER_USERS) + len(secrets.DATABASE_ROLES)
    cookie = (own_parts.folder / "rabbitmq" / ".erlang.cookie").read_text()
    assert len(cookie) >= 20
    leaks = places.leaks({**known, "Erlang cookie": cookie, "wrong": WRONG})
    assert not leaks, "\n".join(sorted(set(leaks))[:20])


async def test_no_promo_code_is_anywhere_but_in_the_commands_that_set_or_redeem_it(places: Places) -> None:
    codes = {form: form for code in (TAKEN, UNKNOWN) for form in (code, code.lower())}
    assert all(places.hold("commands", code) for code in (TAKEN, UNKNOWN))
    elsewhere = Places({place: contents for place, contents in places.found.items() if place != "commands"})
    leaks = elsewhere.leaks(codes)
    assert not leaks, "\n".join(sorted(set(leaks))[:20])


async def test_the_search_finds_a_secret_in_each_form_of_a_login(places: Places) -> None:
    shown = Places()
    shown.add("here", "amqp://client:s3cret@host", "Basic Y2xpZW50OnMzY3JldA==")
    assert len(shown.leaks({"HOLDFAST_BROKER_CLIENT_PASSWORD": "s3cret"})) == 2


async def test_a_fresh_broker_has_no_user_but_its_administrator(places: Places) -> None:
    assert not places.hold("users before provisioning", "guest")


@contextmanager
def _services(site: Site, endpoint: str) -> Iterator[list[Service]]:
    made = [site.service(name) for name in SERVICES]
    for each in made:
        each.env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        each.env[f"{each.name.upper()}_LOG_LEVEL"] = "debug"
    try:
        for each in made:
            each.start(wait=False)
        yield made
    finally:
        for each in made:
            each.kill()


def _set_up(found: Places, parts: Parts, site: Site) -> None:
    """Provision and migrate as compose does, and with passwords that are refused."""
    admin = {
        "HOLDFAST_RABBITMQ_MANAGEMENT_URL": parts.broker.management_url,
        "HOLDFAST_POSTGRES_ADMIN_URL": parts.postgres.admin_url,
    }
    found.add("provision", call("-m", "provision", env={**parts.settings, **admin}))
    runs: list[tuple[str, dict[str, str]]] = []
    for service in SERVICES:
        right = site.migration_env(service)
        runs.append((service, right))
        runs += [(service, {**right, name: _with_wrong_password(url)}) for name, url in right.items() if "URL" in name]
    with ThreadPoolExecutor(3) as threads:
        said = threads.map(lambda run: call("-m", f"{participant(run[0]).module}.migrate", env=run[1]), runs)
        found.add("migrations", *said)


def _use(found: Places, site: Site, folder: Path) -> None:
    env = site.client_env()
    found.add("command line", call("-m", "client.cli", "demo", env=env, folder=folder))
    with ThreadPoolExecutor(4) as threads:
        looks = [["status"], ["status", "--json"], ["audit"], ["dead", "list"], ["dead", "list", "--json"]]
        for said in threads.map(lambda words: call("-m", "client.cli", *words, env=env, folder=folder), looks):
            found.add("command line", said)
    found.add("command line", *canaries.redeem(env, folder, TAKEN, UNKNOWN))
    found.add("state of the command line", *(file.read_bytes() for file in folder.rglob("*") if file.is_file()))


async def _misuse(site: Site) -> None:
    async with login(site.amqp_url("client"), "client") as client:
        channel = await client.connection.channel()
        for body in MALFORMED:
            for key in ("account.open", "order.place", "promo.redeem", "account.open.v9"):
                await channel.basic_publish(body, exchange="commands", routing_key=key)
            await channel.basic_publish(body, exchange="queries", routing_key="account.show")


async def _cut_off(found: Places, parts: Parts, site: Site, services: list[Service]) -> None:
    """Change the services' passwords under them, until all have seen that they are refused; then change them back."""
    management = parts.broker.management
    connections = await _connections(parts)
    admin = await asyncpg.connect(parts.postgres.admin_url)
    for name in SERVICES:
        management.call("PUT", "users", name, body={"password": "changed", "tags": ""})
        await admin.execute(f"ALTER ROLE {name} PASSWORD 'changed'")
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY($1)",
        [str(name) for name in SERVICES],
    )
    await admin.close()
    for connection, user in connections.items():
        if user in SERVICES:
            management.call("DELETE", "connections", connection, missing_ok=True)
    for each in services:
        await until(partial(asyncio.to_thread, _cut_is_seen, each), f"{each.name} sees that it is refused")
        for path in ("/health", "/metrics"):
            found.add("pages of the cut", await asyncio.to_thread(page, each.url + path))
        found.add("logs of the cut", each.process.log.read_bytes())
    await asyncio.to_thread(site.provision)
    for each in services:
        await asyncio.to_thread(each.wait_healthy)


async def _connections(parts: Parts) -> dict[str, str]:
    """Each connection and its user, once the broker counts all that the services have: it does so every few seconds."""

    async def listed() -> dict[str, str] | None:
        rows = await asyncio.to_thread(parts.broker.management.call, "GET", "connections")
        users = [row.get("user") for row in rows]
        complete = all(users.count(name) == CONNECTIONS_EACH for name in SERVICES)
        return {row["name"]: row["user"] for row in rows} if complete else None

    found: dict[str, str] = await until(listed, "the broker counts every connection of the services")
    return found


def _cut_is_seen(service: Service) -> bool:
    said = page(f"{service.url}/health") + service.process.log.read_bytes()
    return b"relay: no connection" in said and b"password authentication failed" in said


async def _look(found: Places, parts: Parts, site: Site, services: list[Service]) -> None:
    """At everything that is kept or shown."""
    for each in services:
        for path in ("/health", "/metrics", "/asyncapi", "/asyncapi.json"):
            found.add("pages", await asyncio.to_thread(page, each.url + path))
    async with all_powerful(site, parts) as channel:
        for queue in (*(f"{name}{tail}" for name in SERVICES for tail in (".dead", ".queries")), "unrouted.dead"):
            found.add("dead letters", *await canaries.drain(channel, queue))
    found.add("tables", *await canaries.tables(site))
    await _connections(parts)
    found.add("pg_stat_activity", *await canaries.activity(parts.postgres.admin_url))
    for path in ("connections", "channels", "consumers", "definitions", "queues", "overview", "parameters"):
        found.add("broker", as_bytes(parts.broker.management.call("GET", path)))
    found.add("command lines", *canaries.command_lines(parts.folder))


def _mistakes(found: Places, parts: Parts, site: Site, folder: Path) -> None:
    """URLs that are none, and passwords that are refused, given to each program."""
    env = {**parts.settings, **site.service_env("user_service", 0), **site.client_env()}
    env["HOLDFAST_POSTGRES_ADMIN_URL"] = parts.postgres.admin_url
    env["HOLDFAST_RABBITMQ_MANAGEMENT_URL"] = parts.broker.management_url
    env.update(site.migration_env("user_service"))
    programs = {
        "HOLDFAST_OPERATOR_AMQP_URL": ["-m", "client.cli", "dead", "list"],
        "HOLDFAST_AUDIT_DATABASE_URL": ["-m", "client.cli", "audit"],
        "HOLDFAST_RABBITMQ_MANAGEMENT_URL": ["-c", PROVISION],
        "HOLDFAST_POSTGRES_ADMIN_URL": ["-c", PROVISION],
        "USER_SERVICE_AMQP_URL": ["-m", "user_service"],
        "USER_SERVICE_DATABASE_URL": ["-m", "user_service"],
        "USER_SERVICE_MIGRATION_DATABASE_URL": ["-m", "user_service.migrate"],
    }

    def try_it(name: str, words: list[str], url: str) -> str:
        return call(*words, env={**env, name: url}, folder=folder, until=REFUSED)

    tries = []
    for name, words in programs.items():
        urls = [each.format(scheme=env[name].partition(":")[0], wrong=WRONG) for each in NOT_URLS]
        if "{service}" in env[name]:
            urls = [each.replace("/name", "/{service}") for each in urls]
        tries += [(name, words, url) for url in (_with_wrong_password(env[name]), *urls)]
    with ThreadPoolExecutor(6) as threads:
        found.add("mistakes", *threads.map(lambda each: try_it(*each), tries))
    for said in found.found["mistakes"]:
        assert len(said.splitlines()) > 2, said


def _with_wrong_password(url: str) -> str:
    login, at, rest = url.rpartition("@")
    return f"{login.rpartition(':')[0]}:{WRONG}{at}{rest}"
