"""The promo service in memory, for tests of whole histories."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from contracts.commands import PutPromo, RedeemPromo
from contracts.events import CoinsMultiplied, CoinsRefused
from contracts.roles import Multiply
from holdfast.delivery.message import Message
from holdfast.delivery.words import Fact
from holdfast.entities.entities import Entities
from holdfast.pending import Entity
from promo_service.codes import code_hash
from promo_service.handlers import PromoHandlers
from promo_service.redemption import Redemption
from promo_service.store import Promos
from promo_service.uses import key_of

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
KEY = b"a key that nobody else is to know"
EFFECT = Multiply(factor=2)


class Service:
    """The promo service with all that it keeps in memory. `heard`: every announcement so far."""

    def __init__(self, **limits: Any) -> None:
        self.handlers = PromoHandlers(KEY, wait_s=60.0, **limits)
        self.uses = Entities(defaultdict(lambda: Entity(0)), set())
        self.state = Promos({}, {}, {}, {}, self.uses)
        self.now_s = 0.0
        self.heard: list[Fact] = []

    def take(self, fact: Fact) -> list[str]:
        """Handle a message. Returns what is announced for it, each with the number of its redemption."""
        now = BEGIN + timedelta(seconds=self.now_s)
        facts = [each.fact for each in self.handlers.handle(self.state, Message(uuid4(), uuid4(), fact), now)]
        self.heard += facts
        return [f"{each.type.removeprefix('promo.')} {UUID(each.saga).int}" for each in facts]

    def put(self, code: str = "X", **said: Any) -> None:
        assert self.take(PutPromo(code=code, **{"effect": EFFECT, **said})) == []

    def redeem(self, number: int, account: str = "a", code: str = "X", **said: Any) -> list[str]:
        return self.take(RedeemPromo(redemption_id=UUID(int=number), account_id=account, code=code, **said))

    def effect(self, number: int) -> list[str]:
        return self.take(CoinsMultiplied(**self.of(number), factor=2, added=9))

    def refuse(self, number: int) -> list[str]:
        return self.take(CoinsRefused(**self.of(number), kind="multiply", reason="unknown_account"))

    def of(self, number: int) -> dict[str, Any]:
        account = self.state.redemptions[UUID(int=number)].account_id
        return {"account_id": account, "operation_id": UUID(int=number), "asked_by": "promo"}

    def redemption(self, number: int) -> Redemption:
        return self.state.redemptions[UUID(int=number)]

    def entity(self, account: str | None = None, code: str = "X") -> Entity[int]:
        """The uses of the code, by one account or by all."""
        return self.uses.at[key_of("account" if account else "code", code_hash(KEY, code), account or "")]
