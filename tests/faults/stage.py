"""The whole system as processes that may be killed: a site of its own, and the three services."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from contracts.topology import SERVICES
from holdfast.delivery.words import Service as Name
from local.parts import Parts
from local.processes import PortTakenError
from local.service import Service
from local.stack import stop_all

SETTINGS = {"USER_SERVICE_JOIN_S": "8", "PROMO_SERVICE_WAIT_S": "8"}
"""What names commands in `after` that were lost, and says itself no time to join by, is refused within this time."""


class Stage:
    """A fresh site on these parts with its services. `settings`: further environment of all of them."""

    def __init__(self, parts: Parts, settings: Mapping[str, str] | None = None) -> None:
        self.parts = parts
        self.site = parts.fresh_site("f")
        self._settings = {**SETTINGS, **(settings or {})}
        self._spare = count(100)
        self.services: dict[Name, Service] = {name: self.instance(name) for name in SERVICES}

    @property
    def env(self) -> dict[str, str]:
        """The URLs of a client, an operator and the audit."""
        return self.site.client_env()

    def instance(self, name: Name, number: int = 1) -> Service:
        """An instance of a service, not started yet; the first of each is in `services`."""
        service = self.site.service(name, number)
        service.env.update(self._settings)
        return service

    def open(self) -> None:
        """Provision, migrate, and return once all services are healthy."""
        self.site.provision()
        self.site.migrate()
        with ThreadPoolExecutor() as threads:
            list(threads.map(self._start, SERVICES))

    def close(self) -> None:
        """End the services and delete the site."""
        stop_all([service.process for service in self.services.values()])
        self.site.drop()

    async def start(self, name: Name) -> None:
        """Start the service again, as a supervisor does, and return once it is healthy."""
        await asyncio.to_thread(self._start, name)

    async def kill(self, name: Name) -> None:
        """SIGKILL the service, which must be alive: one that has ended by itself is not to be revived unnoticed."""
        assert self.services[name].process.pid is not None, f"{name} ended by itself"
        await asyncio.to_thread(self.services[name].kill)

    def signal(self, name: Name, number: signal.Signals) -> None:
        """Send a signal to the service's process."""
        pid = self.services[name].process.pid
        assert pid is not None, f"{name} does not run"
        os.kill(pid, number)

    def _start(self, name: Name) -> None:
        """Start it, on another port if somebody took the one it was to have."""
        try:
            self.services[name].start()
        except PortTakenError:
            self.services[name] = self.instance(name, next(self._spare))
            self.services[name].start()

    async def unhealthy(self, within_s: float) -> list[str]:
        """The services that do not become healthy by themselves within that many seconds."""
        end = asyncio.get_running_loop().time() + within_s
        while True:
            healthy = await asyncio.gather(*(asyncio.to_thread(each.healthy) for each in self.services.values()))
            sick = [f"{name} is not healthy" for name, well in zip(self.services, healthy, strict=True) if not well]
            if not sick or asyncio.get_running_loop().time() > end:
                return sick
            await asyncio.sleep(0.1)
