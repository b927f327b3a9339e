"""Over TLS everything works; a server that cannot be verified is told nothing, and why is said where people look."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import HTTPError, URLError
from uuid import uuid4

import pytest
import trustme

from client.audit import audit
from client.client import Client
from client.errors import Unreachable
from contracts.roles import Multiply
from local import sources
from local.account import temporary_folder
from local.certificate import Certificate, over_tls
from local.guard import throwaway_parts
from local.parts import Parts
from local.service import Service
from local.site import Site
from local.sources import PROJECT
from local.stack import Stack
from provision import secrets
from provision.direct import open_directly
from tests.service.sites import until


def _issue(folder: Path, authority: trustme.CA, ends_at: datetime | None = None) -> Certificate:
    """A certificate for this machine, and that of its authority."""
    folder.mkdir(exist_ok=True)
    found = Certificate(folder / "ca.pem", folder / "chain.pem", folder / "key.pem")
    issued = authority.issue_cert("127.0.0.1", not_before=datetime(2000, 1, 1, tzinfo=UTC), not_after=ends_at)
    authority.cert_pem.write_to_path(str(found.ca))
    issued.private_key_pem.write_to_path(str(found.key))
    found.chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return found


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who issues the servers' certificates."""
    return trustme.CA()


@pytest.fixture(scope="module")
def folder() -> Path:
    """Where certificates are kept."""
    return temporary_folder()


@pytest.fixture(scope="module")
def stranger(folder: Path) -> str:
    """The certificate of an authority that issued none of the servers'."""
    return str(_issue(folder / "stranger", trustme.CA()).ca)


@pytest.fixture(scope="module")
def tls_parts(folder: Path, authority: trustme.CA) -> Iterator[Parts]:
    """A broker and a cluster that are reached over TLS alone."""
    with throwaway_parts(secrets.ensure(PROJECT / ".env"), _issue(folder / "servers", authority)) as started:
        yield started


@pytest.fixture(scope="module")
def stack(tls_parts: Parts) -> Iterator[Stack]:
    """The three services as processes."""
    made = Stack(tls_parts, "tls")
    made.start()
    yield made
    made.stop()


@contextmanager
def _started(site: Site, env: dict[str, str]) -> Iterator[Service]:
    """One more user service, with another environment."""
    service = site.service("user_service", 2, None, **env)
    service.start(wait=False)
    try:
        yield service
    finally:
        service.stop()


def _health(service: Service) -> list[str]:
    """What the service says is wrong with it."""
    try:
        with open_directly(f"{service.url}/health", within_s=5) as answer:
            said = json.load(answer)
    except HTTPError as error:
        with error:
            said = json.load(error)
    problems: list[str] = said["problems"]
    return problems


async def _says(service: Service, *reasons: str) -> None:
    """Wait until the service is unhealthy for these reasons. It keeps running, so that it is healthy when they end."""

    def said() -> bool:
        assert service.process.pid, service.process.tail()
        try:
            problems = "\n".join(_health(service))
        except URLError:  # not listening yet
            return False
        return all(reason in problems for reason in reasons)

    try:
        await until(said, f"unhealthy for {reasons}")
    except AssertionError:
        raise AssertionError(f"{_health(service)}\n{service.process.tail()}") from None


async def test_a_purchase_and_a_doubling_over_tls(stack: Stack) -> None:
    env = stack.site.client_env()
    trusted = env["HOLDFAST_TLS_CA_FILE"]
    assert env["HOLDFAST_AMQP_URL"].startswith("amqps://")
    account, item, code = (f"{name}-{uuid4().hex[:8]}" for name in ("ada", "tea", "twice"))
    async with (
        Client(env["HOLDFAST_AMQP_URL"], tls_ca_file=trusted) as client,
        Client(env["HOLDFAST_OPERATOR_AMQP_URL"], tls_ca_file=trusted) as operator,
    ):
        await operator.outcome(await operator.put_item(item, 20, stock=1))
        await operator.outcome(await operator.put_promo(code, Multiply(factor=2)))
        await client.open_account(account)
        await client.credit(account, 50)
        await client.place_order(account, item)
        await client.outcome(await client.redeem_promo(account, code))

        async def balance() -> bool:
            view = await client.ask.account(account)
            return view is not None and not view.pending and view.balance == 60

        await until(balance, "(50 - 20) x 2")
    assert (await audit(env["HOLDFAST_AUDIT_DATABASE_URL"], trusted)).findings == ()


WRONG_ISSUER = "certificate refused (unable to get local issuer certificate): {name}_TLS_CA_FILE must name"
WRONG_HOST = "{url} must name the host that the certificate is for"


def _elsewhere(url: str) -> str:
    """The same server, under a name that its certificate is not for."""
    return url.replace("@127.0.0.1:", "@localhost:")


async def test_a_service_that_trusts_somebody_else_is_unhealthy_and_says_why(stack: Stack, stranger: str) -> None:
    reason = WRONG_ISSUER.format(name="USER_SERVICE")
    with _started(stack.site, {"USER_SERVICE_TLS_CA_FILE": stranger}) as service:
        await _says(service, f"relay: no connection to the broker: {reason}", f"database: {reason}")


async def test_a_service_that_wants_another_host_is_unhealthy_and_says_why(stack: Stack) -> None:
    env = stack.site.service_env("user_service", 0)
    names = ("USER_SERVICE_AMQP_URL", "USER_SERVICE_DATABASE_URL")
    with _started(stack.site, {name: _elsewhere(env[name]) for name in names}) as service:
        await _says(service, *(WRONG_HOST.format(url=name) for name in names))


async def test_a_service_that_speaks_plain_text_to_tls_servers_is_unhealthy_and_says_why(stack: Stack) -> None:
    env = stack.site.service_env("user_service", 0)
    plain = {
        "USER_SERVICE_AMQP_URL": env["USER_SERVICE_AMQP_URL"].replace("amqps://", "amqp://"),
        "USER_SERVICE_DATABASE_URL": env["USER_SERVICE_DATABASE_URL"].replace("verify-full", "disable"),
        "USER_SERVICE_TLS_CA_FILE": "",
    }
    with _started(stack.site, plain) as service:
        await _says(
            service,
            "relay: no connection to the broker: the broker hung up before its greeting: if it wants TLS, say amqps://",
            "database: the database wants TLS: say sslmode=verify-full in USER_SERVICE_DATABASE_URL",
        )


async def test_a_service_that_wants_tls_of_plain_servers_is_unhealthy_and_says_why(stack: Stack, parts: Parts) -> None:
    site, trusted = parts.site("plain"), stack.site.trust("USER_SERVICE")
    env = {
        "USER_SERVICE_AMQP_URL": over_tls(site.amqp_url("user_service")),
        "USER_SERVICE_DATABASE_URL": over_tls(site.database_url("user_service")),
    }
    with _started(site, env | trusted) as service:
        await _says(
            service,
            "check host and port in USER_SERVICE_AMQP_URL",
            "database: the database has no TLS: switch it on there",
        )


async def test_the_client_and_the_audit_refuse_who_cannot_be_verified(stack: Stack, stranger: str) -> None:
    env = stack.site.client_env()
    trusted = env["HOLDFAST_TLS_CA_FILE"]
    reason = re.escape(WRONG_ISSUER.format(name="HOLDFAST"))
    with pytest.raises(Unreachable, match=reason):
        await Client(env["HOLDFAST_AMQP_URL"], tls_ca_file=stranger).__aenter__()
    with pytest.raises(Unreachable, match=reason):
        await audit(env["HOLDFAST_AUDIT_DATABASE_URL"], stranger)
    with pytest.raises(Unreachable, match="must name the host that the certificate is for"):
        await Client(_elsewhere(env["HOLDFAST_AMQP_URL"]), tls_ca_file=trusted).__aenter__()
    with pytest.raises(Unreachable, match="must name the host that the certificate is for"):
        await audit(_elsewhere(env["HOLDFAST_AUDIT_DATABASE_URL"]), trusted)
    with pytest.raises(Unreachable, match="if it wants TLS, say amqps://"):
        await Client(env["HOLDFAST_AMQP_URL"].replace("amqps://", "amqp://")).__aenter__()
    with pytest.raises(Unreachable, match="the database wants TLS"):
        await audit(env["HOLDFAST_AUDIT_DATABASE_URL"].replace("verify-full", "disable"))


def _ended(command: Sequence[str | Path], env: dict[str, str]) -> tuple[int, str]:
    """The exit code of a program of ours, and what it said."""
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr + done.stdout


def test_the_command_line_refuses_who_cannot_be_verified(stack: Stack, stranger: str) -> None:
    env = {**stack.site.client_env(), "HOLDFAST_STATE_DIR": str(temporary_folder())}
    holdfast = Path(sys.executable).with_name("holdfast")
    for command in ("status", "audit"):
        code, said = _ended([holdfast, command], env)
        assert code == 0, said
        code, said = _ended([holdfast, command], {**env, "HOLDFAST_TLS_CA_FILE": stranger})
        assert (code, WRONG_ISSUER.format(name="HOLDFAST") in " ".join(said.split())) == (3, True), said


def test_migrations_and_provisioning_refuse_who_cannot_be_verified(
    stack: Stack, tls_parts: Parts, stranger: str
) -> None:
    migration = {**stack.site.migration_env("user_service"), "USER_SERVICE_TLS_CA_FILE": stranger}
    code, said = _ended([sys.executable, "-m", "user_service.migrate"], migration)
    assert (code, WRONG_ISSUER.format(name="USER_SERVICE") in said, "Traceback" in said) == (1, True, False), said
    admin = {
        **tls_parts.settings,
        "HOLDFAST_RABBITMQ_MANAGEMENT_URL": tls_parts.broker.management_url,
        "HOLDFAST_POSTGRES_ADMIN_URL": tls_parts.postgres.admin_url,
        "HOLDFAST_VHOST": stack.site.vhost,
    }
    provision = [sys.executable, "-m", "provision"]
    code, said = _ended(provision, {**admin, "HOLDFAST_TLS_CA_FILE": stranger})
    assert (code, WRONG_ISSUER.format(name="HOLDFAST") in said, "Traceback" in said) == (1, True, False), said
    code, said = _ended(provision, {**admin, "HOLDFAST_TLS_CA_FILE": tls_parts.postgres.ca_file})
    assert code == 0, said


async def test_a_certificate_that_expires_stops_the_services_until_it_is_renewed(
    stack: Stack, tls_parts: Parts, folder: Path, authority: trustme.CA
) -> None:
    """Connections that are open stay so; it is a restart of the servers that shows it."""
    pids = [service.process.pid for service in stack.services]
    for ends_at in (datetime.now(UTC) - timedelta(hours=1), None):
        _issue(folder / "servers", authority, ends_at)
        tls_parts.broker.restart()
        if ends_at is None:
            tls_parts.postgres.restart()
            break
        tls_parts.postgres.stop()
        with pytest.raises(ssl.SSLError, match="certificate has expired"):
            tls_parts.postgres.start()
        tls_parts.postgres._start_server(sources.postgresql())
        for service in stack.services:
            reason = "certificate refused (certificate has expired): renew the server's certificate"
            await _says(service, f"relay: no connection to the broker: {reason}", f"database: {reason}")
    for service in stack.services:
        await until(service.healthy, "healthy again by itself")
    assert [service.process.pid for service in stack.services] == pids
