"""What the order service is told by its environment: `ORDER_SERVICE_…`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from holdfast.delivery.settings import MigrationSettings, ServiceSettings
from holdfast.delivery.words import DURATION_S_MAX
from order_service.order import ASK_AGAIN_S_MAX


class Settings(ServiceSettings):
    """`deadline_s`: seconds within which an order must be fulfilled that names no deadline of its own.
    `ask_again_s`: seconds until the user service is asked again that has not answered, doubling up to an hour.
    `waiting_max`: orders that may wait for pieces of one item; one beyond them fails.
    """

    model_config = SettingsConfigDict(env_prefix="ORDER_SERVICE_")

    deadline_s: Annotated[float, Field(gt=0, le=DURATION_S_MAX)] = 900.0
    ask_again_s: Annotated[float, Field(gt=0, le=ASK_AGAIN_S_MAX)] = 30.0
    waiting_max: Annotated[int, Field(ge=1, le=1000)] = 200


class Migration(MigrationSettings):
    """Where to migrate."""

    model_config = SettingsConfigDict(env_prefix="ORDER_SERVICE_")
