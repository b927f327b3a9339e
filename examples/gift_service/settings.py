"""What the gift service is told by its environment: `GIFT_SERVICE_…`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from examples.gift_service.moves import ASK_AGAIN_S_MAX
from examples.gift_service.words import DEADLINE_S_MAX
from holdfast.delivery.settings import MigrationSettings, ServiceSettings


class Settings(ServiceSettings):
    """`deadline_s`: seconds within which both accounts must have agreed to a gift that names no deadline.
    `ask_again_s`: seconds until the user service is asked again that has not answered, doubling up to an hour.
    """

    model_config = SettingsConfigDict(env_prefix="GIFT_SERVICE_")

    deadline_s: Annotated[float, Field(gt=0, le=DEADLINE_S_MAX)] = 900.0
    ask_again_s: Annotated[float, Field(gt=0, le=ASK_AGAIN_S_MAX)] = 30.0


class Migration(MigrationSettings):
    """Where to migrate."""

    model_config = SettingsConfigDict(env_prefix="GIFT_SERVICE_")
