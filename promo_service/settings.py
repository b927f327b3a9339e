"""What the promo service is told by its environment: `PROMO_SERVICE_…`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from holdfast.delivery.settings import MigrationSettings, ServiceSettings
from holdfast.delivery.words import DURATION_S_MAX
from promo_service.promo import ASK_AGAIN_S_MAX


class Settings(ServiceSettings):
    """`code_key`: with which promo codes are hashed, 32 bytes or more; with another one, no code that was put is known.
    `misses_max`: codes not accepted that an account may try in an hour. `waiting_max`: redemptions of one code, and of
    one code by one account, that may wait for a use. `wait_s`: seconds for which a redemption may wait for a use that
    names no limit of its own. `ask_again_s`: seconds until the user service is asked again that has not answered,
    doubling up to an hour.
    """

    model_config = SettingsConfigDict(env_prefix="PROMO_SERVICE_")

    code_key: Annotated[SecretStr, Field(min_length=32)]
    misses_max: Annotated[int, Field(ge=1)] = 10
    waiting_max: Annotated[int, Field(ge=1, le=1000)] = 200
    wait_s: Annotated[float, Field(gt=0, le=DURATION_S_MAX)] = 86_400.0
    ask_again_s: Annotated[float, Field(gt=0, le=ASK_AGAIN_S_MAX)] = 30.0


class Migration(MigrationSettings):
    """Where to migrate."""

    model_config = SettingsConfigDict(env_prefix="PROMO_SERVICE_")
