"""Where the client finds the broker and, for the audit, the databases: `HOLDFAST_…` variables."""

from __future__ import annotations

from typing import Self

from pydantic_settings import BaseSettings, SettingsConfigDict

from client.errors import NotConfigured
from holdfast.tls import check_broker_url, check_ca_file, check_database_url

SERVICE_PLACE = "{service}"
CA_FILE = "HOLDFAST_TLS_CA_FILE"


class Settings(BaseSettings):
    """From the environment, else from `.holdfast/up.env` (written by `make up`), else from `.env`.

    `amqp_url`: the broker, as a client. `operator_amqp_url`: the same as an operator, for catalog, promos, fulfilment,
    dead letters and watching. `audit_database_url`: the databases, read-only, with `{service}` for the service's name.
    `tls_ca_file`: who is trusted to say who the servers are, where these URLs are `amqps://…` and
    `postgresql://…?sslmode=verify-full`; without it, whom the system trusts.
    `state_dir`: where the command line remembers its recent commands; empty means the platform's own place.
    """

    model_config = SettingsConfigDict(
        env_prefix="HOLDFAST_", env_file=(".env", ".holdfast/up.env"), env_file_encoding="utf-8", extra="ignore"
    )

    amqp_url: str = ""
    operator_amqp_url: str = ""
    audit_database_url: str = ""
    state_dir: str = ""
    tls_ca_file: str = ""

    @classmethod
    def read(cls) -> Self:
        """All of them. Raises `NotConfigured` where a file that is there cannot be read."""
        try:
            return cls()
        except (OSError, UnicodeError) as error:
            raise NotConfigured(
                f".env or .holdfast/up.env cannot be read ({error}): be who made it, or call holdfast in another folder"
            ) from None

    def required(self, name: str) -> str:
        """The value of a setting. Raises `NotConfigured` with its variable's name and the remedy if it has none."""
        value: str = getattr(self, name)
        variable = f"HOLDFAST_{name.upper()}"
        if not value:
            raise NotConfigured(
                f"{variable} is not set: start the system with `make up` and call holdfast in the same folder, "
                f"or set {variable} in the environment"
            )
        if name == "audit_database_url" and SERVICE_PLACE not in value:
            raise NotConfigured(f"{variable} must contain {SERVICE_PLACE} in place of the service's name")
        try:
            (check_database_url if name == "audit_database_url" else check_broker_url)(value)
        except ValueError as error:
            raise NotConfigured(f"{variable} {error}") from None
        try:
            urls = (self.amqp_url, self.operator_amqp_url, self.audit_database_url)
            check_ca_file(self.tls_ca_file, *filter(None, urls))
        except ValueError as error:
            raise NotConfigured(f"{CA_FILE}: {error}") from None
        return value
