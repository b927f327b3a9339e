"""The broker and the cluster together, which any number of sites can share."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from local.broker import Broker
from local.certificate import Certificate
from local.postgres import Postgres
from local.site import Site


class Parts:
    """One broker and one cluster with their state in `folder`.

    `settings`: the passwords, as `provision.secrets.ensure` returns them. `usual_ports`, `fsync` and `certificate`: see
    `Broker` and `Postgres`.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        usual_ports: bool = False,
        fsync: bool = True,
        certificate: Certificate | None = None,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.certificate = certificate
        self.broker = Broker(folder, settings, usual_ports, certificate)
        self.postgres = Postgres(folder, settings, usual_ports, fsync, certificate)

    def start(self) -> None:
        """Return once both are ready. Raises `StartError` or `NoPart`; nothing is left running then."""
        try:
            self.postgres.start()
            self.broker.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End both; what they hold stays in the folder."""
        self.broker.stop()
        self.postgres.stop()

    def site(self, name: str = "") -> Site:
        """The virtual host and databases of this name; the nameless one is that of `make up` and of compose."""
        return Site(self, name)

    def fresh_site(self, label: str = "t") -> Site:
        """A site that nobody has used yet."""
        return self.site(f"{label}_{secrets.token_hex(4)}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
