"""Sites and instances of single services, for tests that run a service alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from contracts.services import PARTICIPANTS, participant
from holdfast.delivery.checkpoints import Hook
from holdfast.delivery.database import asyncpg_url
from holdfast.delivery.domain import Domain
from holdfast.delivery.envelope import SINGLE
from holdfast.delivery.message import Origin, decode
from holdfast.delivery.migrations import migrate
from holdfast.delivery.service import ServiceInstance
from holdfast.delivery.unit_of_work import Arrived
from holdfast.delivery.words import Fact, Service
from local.parts import Parts
from local.site import Site
from promo_service.codes import code_hash
from tests.service.probe import envelope

Instance = ServiceInstance[Any]

(CODE_KEY,) = participant("promo_service").keys


def fresh(parts: Parts, label: str = "s") -> Site:
    """A provisioned and migrated site that nobody has used yet."""
    site = parts.fresh_site(label)
    site.provision()
    with ThreadPoolExecutor(1) as thread:
        for each in PARTICIPANTS:
            (url,) = site.migration_env(each.service).values()
            thread.submit(migrate, each.folder, url).result()
    return site


def program(service: Service) -> tuple[Callable[[Any], Domain[Any]], type[Any]]:
    """What makes the service's domain from its settings, and these."""
    module = participant(service).module
    return import_module(f"{module}.handlers").domain, import_module(f"{module}.settings").Settings


def make(site: Site, service: Service, hook: Hook | None = None, **settings: Any) -> Instance:
    """An instance of the service in this process, not started yet."""
    domain, settings_type = program(service)
    keys = {name.removeprefix(f"{service.upper()}_").lower(): key for name, key in site.keys(service).items()}
    urls = {"amqp_url": site.amqp_url(service), "database_url": site.database_url(service)}
    read = settings_type(**{**urls, **keys, **settings})
    return ServiceInstance(domain(read), read, hook)


@asynccontextmanager
async def running(site: Site, service: Service, hook: Hook | None = None, **settings: Any) -> AsyncIterator[Instance]:
    """An instance of the service at work in this process."""
    instance = make(site, service, hook, **settings)
    await instance.start()
    try:
        yield instance
    finally:
        await instance.stop()


def die(instance: Instance) -> None:
    """All of the instance's work ends where it is, as if its process were gone: nothing after this is done by it."""
    tasks = [instance.consumer._task, *instance.relay._tasks, *instance._tasks[1:]]
    for task in tasks:
        if task and task is not asyncio.current_task():
            task.cancel()


async def bury(instance: Instance) -> None:
    """Close what the operating system closes when a process is gone. No step of delivery happens here."""
    die(instance)
    tasks = [task for task in (instance.consumer._task, *instance.relay._tasks, *instance._tasks[1:]) if task]
    await asyncio.gather(*tasks, return_exceptions=True)
    await instance.relay._close()
    await instance.broker.stop()
    await instance.questions.stop()
    instance.web.stop()
    await asyncio.gather(*instance._tasks, return_exceptions=True)
    await instance.engine.dispose()


async def rows(site: Site, service: str, query: str, **values: Any) -> Sequence[Any]:
    """What the service's database answers, read as the owner of its tables."""
    engine = create_async_engine(asyncpg_url(site.database_url(service, f"{service}_owner")), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            found = await connection.execute(text(query), values)
            return list(found) if found.returns_rows else []
    finally:
        await engine.dispose()


async def value(site: Site, service: str, query: str, **values: Any) -> Any:
    """The one value that the service's database answers."""
    return (await rows(site, service, query, **values))[0][0]


def kept_as(site: Site, code: str) -> str:
    """The hash by which the site's promo service keeps a code."""
    return code_hash(site.keys("promo_service")[CODE_KEY].encode(), code)


def entitle_the_administrator(site: Site) -> None:
    """Let the administrator do anything with the site's queues, as an administrator can see to."""
    management = site._parts.broker.management
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    management.call("PUT", "permissions", site.vhost, management.user, body=everything)


async def until(condition: Callable[[], Any], what: str, within_s: float = 40) -> Any:
    """What `condition` returns (awaited if need be), as soon as it is true. It is asked again, never assumed."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                found = condition()
                found = await found if asyncio.iscoroutine(found) else found
                if found:
                    return found
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {within_s} s: {what}") from None


def arrived(instance: Instance, fact: Fact) -> Arrived:
    """The fact as if the broker had delivered it, for an instance that is not started."""
    origin = Origin(fact.exchange, fact.routing_key, SINGLE)
    (content,) = decode(envelope(fact).model_dump_json().encode(), origin, instance.domain.facts)
    return Arrived(content, origin)


@asynccontextmanager
async def unstarted(site: Site, service: Service, hook: Hook | None = None) -> AsyncIterator[Instance]:
    """An instance that is handed its messages by the test."""
    instance = make(site, service, hook)
    try:
        yield instance
    finally:
        instance.web._socket.close()
        await instance.engine.dispose()
