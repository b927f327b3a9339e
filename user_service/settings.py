"""What the user service is told by its environment: `USER_SERVICE_…`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from holdfast.delivery.settings import MigrationSettings, ServiceSettings
from holdfast.delivery.words import DURATION_S_MAX


class Settings(ServiceSettings):
    """`pending_max`: operations that one account may have pending: open, or settled behind one that is open.
    `waiting_max`: how many of them may be unanswered; each is looked at when one before it ends, so that what all cost
    grows with the square of this.
    `join_s`: seconds for which a credit that names earlier commands in `after` stands outside until they have come;
    what comes from a service says so itself.
    """

    model_config = SettingsConfigDict(env_prefix="USER_SERVICE_")

    pending_max: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    waiting_max: Annotated[int, Field(ge=1, le=1000)] = 200
    join_s: Annotated[float, Field(gt=0, le=DURATION_S_MAX)] = 900.0


class Migration(MigrationSettings):
    """Where to migrate."""

    model_config = SettingsConfigDict(env_prefix="USER_SERVICE_")
