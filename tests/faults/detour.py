"""A stage whose services reach the broker and their databases through proxies; its clients go straight there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from holdfast.delivery.words import Service as Name
from local.parts import Parts
from local.service import Service
from tests.faults.proxy import Proxy
from tests.faults.stage import Stage


class Detour(Stage):
    """`broker` and `postgres` are the proxies; they must run as long as the services do: see `opened`."""

    def __init__(self, parts: Parts) -> None:
        self.broker = Proxy(lambda: [parts.broker.address])
        self.postgres = Proxy(lambda: [parts.postgres.address])
        super().__init__(parts)

    @classmethod
    @contextmanager
    def opened(cls, parts: Parts) -> Iterator[Self]:
        """The proxies and the services at work, on a fresh site."""
        stage = cls(parts)
        with stage.broker, stage.postgres:
            try:
                stage.open()
                yield stage
            finally:
                stage.close()

    def instance(self, name: Name, number: int = 1) -> Service:
        """An instance that knows the proxies' addresses alone."""
        service = super().instance(name, number)
        for part, proxy in (("AMQP", self.broker), ("DATABASE", self.postgres)):
            variable = f"{name.upper()}_{part}_URL"
            service.env[variable] = through(proxy, service.env[variable])
        return service


def through(proxy: Proxy, url: str) -> str:
    """The same URL, by way of the proxy."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@{proxy.address}"))
