"""What a service is told by its environment. Each variable begins with the service's own prefix."""

from __future__ import annotations

import sys
from ssl import SSLContext
from typing import Annotated, TypeVar
from urllib.parse import quote, unquote, urlsplit

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from holdfast.tls import check_broker_url, check_ca_file, check_database_url, of_broker, problem


class ServiceSettings(BaseSettings):
    """Where the service's broker and database are, and where it shows itself.

    `amqp_url`: the service's own broker user. `database_url`: its runtime role. `http_port`: 0 takes a free one.
    `http_url`: how others reach the pages, where that differs. `inbox_retention_s`: how long message ids are kept.
    Over TLS: `amqps://…` and `postgresql://…?sslmode=verify-full`; `tls_ca_file` names a file of those who are trusted
    to say who the servers are, in place of whom the system trusts.
    """

    amqp_url: Annotated[str, AfterValidator(check_broker_url)]
    database_url: Annotated[str, AfterValidator(check_database_url)]
    tls_ca_file: str = ""
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 0
    http_url: str = ""
    log_level: str = "info"
    inbox_retention_s: Annotated[float, Field(gt=0)] = 7 * 24 * 3600.0

    @field_validator("tls_ca_file")
    @classmethod
    def _verifies_somebody(cls, ca_file: str, read: ValidationInfo) -> str:
        return check_ca_file(ca_file, *_urls(read))

    @property
    def broker_tls(self) -> SSLContext | None:
        """How to verify the broker; None for plain text."""
        return of_broker(self.amqp_url, self.tls_ca_file)

    def no_tls(self, error: BaseException, setting: str) -> str | None:
        """Why there is no TLS with the server that this setting names, and what helps; None if it is not that."""
        prefix = self.model_config.get("env_prefix", "")
        return problem(error, f"{prefix}{setting}", f"{prefix}TLS_CA_FILE")

    @property
    def broker_user(self) -> str:
        """The broker user's name, which the broker validates on each message."""
        return unquote(urlsplit(self.amqp_url).username or "")


class MigrationSettings(BaseSettings):
    """`migration_database_url`: the service's database, as the role that owns its tables. `tls_ca_file`: see above."""

    migration_database_url: Annotated[str, AfterValidator(check_database_url)]
    tls_ca_file: str = ""

    @field_validator("tls_ca_file")
    @classmethod
    def _verifies_somebody(cls, ca_file: str, read: ValidationInfo) -> str:
        return check_ca_file(ca_file, *_urls(read))


HEARTBEAT_S = 4
"""The interval in which broker and service hear of each other, unless the URL says otherwise. A connection whose other
end has gone without a word is given up by the broker after two of them, and by aiormq after three and a few seconds:
16 in all. With its default of 60 that took three minutes, in which nothing was consumed."""


def _urls(read: ValidationInfo) -> list[str]:
    """The URLs that could be read."""
    return [value for name, value in read.data.items() if name.endswith(("amqp_url", "database_url"))]


def named(amqp_url: str, name: str) -> str:
    """The same URL, for a connection that the RabbitMQ UI shows under this name."""
    query = urlsplit(amqp_url).query
    heartbeat = "" if "heartbeat=" in query else f"&heartbeat={HEARTBEAT_S}"
    return f"{amqp_url}{'&' if query else '?'}name={quote(name)}{heartbeat}"


Read = TypeVar("Read", bound=BaseSettings)


def read_settings(settings: type[Read]) -> Read:
    """The settings from the environment, or exit code 2 with one line for each variable that is missing or wrong."""
    try:
        return settings()
    except ValidationError as error:
        prefix = settings.model_config.get("env_prefix", "")
        for detail in error.errors(include_url=False):
            name = prefix + str(detail["loc"][0]).upper()
            print(f"environment variable {name}: {detail['msg']}", file=sys.stderr)
        raise SystemExit(2) from None
