"""One virtual host and a database for each service: everything that one instance of the system keeps and says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from contracts.services import SERVICES, participant
from local.certificate import over_tls
from local.postgres import apart
from local.processes import StartError
from local.service import Service
from local.sources import PROJECT
from provision import broker, databases
from provision.secrets import VHOST, amqp_url, client_urls, database_url, free_port

if TYPE_CHECKING:
    from local.parts import Parts


class Site:
    """The site called `name` on these parts. Sites share nothing but the users' passwords."""

    def __init__(self, parts: Parts, name: str = "") -> None:
        if not re.fullmatch(r"([a-z][a-z0-9_]{0,30})?", name):
            raise ValueError(f"{name!r}: a site's name is up to 31 of a-z, 0-9 and _, and starts with a letter")
        self._parts = parts
        self.name = name
        self.vhost = name or VHOST
        self.prefix = f"{name}_" if name else ""

    def provision(self) -> None:
        """Make users, exchanges, queues, roles and databases; a second time changes nothing."""
        broker.provision(self._parts.broker.management, self.vhost, self._parts.settings)
        cluster = self._parts.postgres
        apart(databases.provision(cluster.admin_url, self._parts.settings, self.prefix, cluster.ca_file))

    def migrate(self) -> None:
        """Bring the databases to the newest version. Raises `StartError` with what the migration printed."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(self._migrate, SERVICES))

    def drop(self) -> None:
        """Delete the virtual host and the databases, whoever is connected."""
        broker.drop(self._parts.broker.management, self.vhost)
        apart(databases.drop(self._parts.postgres.admin_url, self.prefix, self._parts.postgres.ca_file))

    def migration_env(self, service: str) -> dict[str, str]:
        """What the service's migrations need: the database as its owner."""
        return {f"{service.upper()}_MIGRATION_DATABASE_URL": self.database_url(service, databases.owner(service))}

    def service_env(self, service: str, http_port: int) -> dict[str, str]:
        """What one instance of the service needs: its database, its broker user, and where it serves /health."""
        name = service.upper()
        return {
            f"{name}_DATABASE_URL": self.database_url(service),
            f"{name}_AMQP_URL": self.amqp_url(service),
            f"{name}_HTTP_HOST": "127.0.0.1",
            f"{name}_HTTP_PORT": str(http_port),
            **self.trust(name),
            **self.keys(service),
        }

    def trust(self, name: str) -> dict[str, str]:
        """By which a program whose settings begin with `name` verifies the parts; nothing where they have no TLS."""
        return {f"{name}_TLS_CA_FILE": self._parts.postgres.ca_file} if self._parts.certificate else {}

    def keys(self, service: str) -> dict[str, str]:
        """The keys that the service has besides its passwords, and needs to migrate what it keeps."""
        return {name: self._parts.settings[name] for name in participant(service).keys}

    def client_env(self) -> dict[str, str]:
        """What the command line and the tests of the whole system need."""
        parts = self._parts
        urls = client_urls(parts.settings, parts.broker.address, parts.postgres.address, self.name)
        return {name: self._as_reached(url) for name, url in urls.items()} | self.trust("HOLDFAST")

    def amqp_url(self, user: str) -> str:
        """Where a broker user (a service, `client` or `operator`) connects."""
        return self._as_reached(amqp_url(self._parts.settings, user, self._parts.broker.address, self.vhost))

    def database_url(self, service: str, role: str | None = None) -> str:
        """Where `role` (default: the service's working role) reaches the service's database."""
        return self._as_reached(database_url(self._parts.settings, role or service, *self._database(service)))

    def service(self, name: str, instance: int = 1, http_port: int | None = None, **env: str) -> Service:
        """One instance of a service, not started yet. `env` adds to its environment or replaces part of it."""
        port = http_port or free_port()
        label = f"{self.prefix}{name}-{instance}"
        return Service(self._parts.folder, label, name, port, {**self.service_env(name, port), **env})

    def _migrate(self, service: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", f"{participant(service).module}.migrate"],
            cwd=PROJECT,
            env={**os.environ, **self.migration_env(service), **self.trust(service.upper()), **self.keys(service)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StartError(f"the migration of {service} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")

    def _as_reached(self, url: str) -> str:
        return over_tls(url) if self._parts.certificate else url

    def _database(self, service: str) -> tuple[str, str]:
        return self._parts.postgres.address, self.prefix + service
