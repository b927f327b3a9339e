"""What the user service is told by its environment: `USER_SERVICE_…`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from messaging.settings import MigrationSettings, ServiceSettings


class Settings(ServiceSettings):
    """`pending_max`: operations one account may have pending; each that settles is a walk along all of them, and all
    may settle in one transaction. `named_s`: seconds for which a command named in `after` keeps its place before it
    has arrived.
    """

    model_config = SettingsConfigDict(env_prefix="USER_SERVICE_")

    pending_max: Annotated[int, Field(ge=1, le=1000)] = 1000
    named_s: Annotated[float, Field(gt=0, le=3600)] = 30.0


class Migration(MigrationSettings):
    """Where to migrate."""

    model_config = SettingsConfigDict(env_prefix="USER_SERVICE_")
