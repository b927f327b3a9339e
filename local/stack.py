"""The whole system on one machine: the parts, one site on them, and its services."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from contracts.services import SERVICES
from local.parts import Parts
from local.processes import PortTakenError, Process
from local.service import Service
from provision.secrets import broker_password, free_port

HTTP_PORTS = {name: 8081 + number for number, name in enumerate(SERVICES)}
"""Where `make up` serves each service's pages, if the port is free."""


class Stack:
    """The services of the site called `site` on `parts`."""

    def __init__(self, parts: Parts, site: str = "", usual_ports: bool = False) -> None:
        self._parts = parts
        self.site = parts.site(site)
        usual = HTTP_PORTS if usual_ports else {}
        self.services: list[Service] = [
            self.site.service(name, http_port=free_port(usual.get(name, 0))) for name in SERVICES
        ]

    def start(self) -> None:
        """Provision, migrate, and return once all services are healthy. The parts must run already.

        Raises `StartError` with the end of the log of what failed; no service is left running then.
        """
        try:
            self.site.provision()
            self.site.migrate()
            for service in self.services:
                service.start(wait=False)
            self.services = [self._healthy(service) for service in self.services]
        except BaseException:
            self.stop()
            raise

    def _healthy(self, service: Service) -> Service:
        """The service once it is healthy, on another port if somebody took the one it was to have."""
        try:
            service.wait_healthy()
        except PortTakenError:
            service = self.site.service(service.name)
            service.start()
        return service

    def stop(self) -> None:
        """End the services, each after what it has in hand."""
        stop_all([service.process for service in self.services])

    def report(self) -> str:
        """For the person who started it: where everything is, and how to log in."""
        settings, broker = self._parts.settings, self._parts.broker
        lines = [
            ("AMQP", self.site.amqp_url("client")),
            ("RabbitMQ UI", f"{broker.ui_url}  login: operator  password: {settings[broker_password('operator')]}"),
            *((service.name, f"{service.url}/health  /metrics  /asyncapi") for service in self.services),
        ]
        return "".join(f"  {name:<14} {text}\n" for name, text in lines)


def stop_all(processes: list[Process]) -> None:
    """End several processes at the same time."""
    with ThreadPoolExecutor() as threads:
        list(threads.map(Process.stop, processes))
