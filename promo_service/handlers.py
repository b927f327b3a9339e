"""What the promo service does with each message: find the redemption and its code, let `promo.py` decide, keep it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.base import Fact
from contracts.commands import PutPromo, RedeemPromo
from contracts.events import CoinsCredited, CoinsRefused, PromoRedeemed, PromoRefused
from contracts.topology import facts_for
from messaging.domain import Domain, Refused
from messaging.message import Announcement, Message
from promo_service import store, views
from promo_service.promo import AnswerOverdue, Contradiction, Promo, Redemption, Situation, Step, decide
from promo_service.settings import Settings
from promo_service.store import Promos
from promo_service.tables import delivery

DUE_TOGETHER_MAX = 500


class PromoHandlers:
    """Handles messages about codes and redemptions. `wait_s`: for redemptions that name no limit. `ask_again_s`: how
    long the user service's answer is waited for before it is asked again.
    """

    def __init__(self, wait_s: float, ask_again_s: float = 30.0) -> None:
        self._wait_s, self._ask_again_s = wait_s, ask_again_s

    async def load(self, connection: AsyncConnection, messages: Sequence[Message], now: datetime) -> Promos:
        """Lock and read the redemptions and codes that these messages are about."""
        ids = {each for message in messages if (each := _redemption_id(message.fact))}
        facts = [message.fact for message in messages]
        names = {fact.code for fact in facts if isinstance(fact, RedeemPromo | PutPromo)}
        uses = {(fact.code, fact.account_id) for fact in facts if isinstance(fact, RedeemPromo)}
        return await store.load(connection, ids, names, uses)

    def handle(self, state: Promos, message: Message, now: datetime) -> Sequence[Announcement]:
        """Decide one message."""
        if isinstance(message.fact, PutPromo):
            _put(state, message.fact)
            return []
        redemption_id = _redemption_id(message.fact)
        if redemption_id is None:
            return []
        redemption = state.redemptions.get(redemption_id) or Redemption(redemption_id, trace=message.trace)
        try:
            step = self._decide(state, redemption, message.fact, now)
        except Contradiction as error:
            raise Refused(str(error)) from None
        if step.redemption is not redemption:
            _advance(state, step)
        return [_announcement(step, fact) for fact in step.facts]

    async def save(self, connection: AsyncConnection, state: Promos) -> None:
        """Keep what changed."""
        await store.save(connection, state)

    async def due(self, connection: AsyncConnection) -> Sequence[Fact]:
        """Redemptions whose answer is overdue. Nothing else: the user service bounds every wait."""
        return [AnswerOverdue(redemption_id=each) for each in await store.unanswered(connection, DUE_TOGETHER_MAX)]

    def _decide(self, state: Promos, redemption: Redemption, fact: Fact, now: datetime) -> Step:
        code = fact.code if isinstance(fact, RedeemPromo) else redemption.code
        account_id = fact.account_id if isinstance(fact, RedeemPromo) else redemption.account_id
        holder = state.holders.get((code, account_id))
        taken = holder is not None and holder != redemption.id
        promo = state.codes.get(code)
        return decide(Situation(redemption, promo, taken, now, self._wait_s, self._ask_again_s), fact)


def _put(state: Promos, put: PutPromo) -> None:
    known = state.codes.get(put.code)
    uses = known.uses if known else 0
    state.codes[put.code] = Promo(put.code, put.effect, put.valid_from, put.valid_until, put.uses_max, uses)


def _advance(state: Promos, step: Step) -> None:
    redemption = step.redemption
    state.redemptions[redemption.id] = redemption
    if step.promo is not None:
        state.codes[step.promo.code] = step.promo
    use = (redemption.code, redemption.account_id)
    if redemption.state == "claimed":
        state.holders[use] = redemption.id
    elif redemption.state == "refused" and state.holders.get(use) == redemption.id:
        del state.holders[use]


def _redemption_id(fact: Fact) -> UUID | None:
    """The redemption that the fact is about; None if it is about a code, an order or a plain credit."""
    if isinstance(fact, CoinsRefused) and fact.kind not in ("multiply", "bonus"):
        return None
    if isinstance(fact, CoinsCredited) and fact.kind != "bonus":
        return None
    found: UUID | None = getattr(fact, "redemption_id", None) or getattr(fact, "operation_id", None)
    return found


def _announcement(step: Step, fact: Fact) -> Announcement:
    ends = isinstance(fact, PromoRedeemed | PromoRefused)
    return Announcement(fact, step.redemption.trace, step.redemption.claimed_at if ends else None, step.again)


def domain(settings: Settings) -> Domain[Promos]:
    """The promo service, as delivery sees it."""
    return Domain(
        service="promo_service",
        facts=facts_for("promo_service"),
        tables=delivery,
        handlers=PromoHandlers(settings.wait_s, settings.ask_again_s),
        answers=views.ANSWERS,
        gauges=views.gauges,
    )
