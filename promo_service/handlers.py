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
from promo_service.codes import code_hash
from promo_service.promo import MISSES, AnswerOverdue, Contradiction, Promo, Redemption, Situation, Step, decide
from promo_service.settings import Settings
from promo_service.store import Promos
from promo_service.tables import delivery

DUE_TOGETHER_MAX = 500


class PromoHandlers:
    """Handles messages about codes and redemptions. `code_key`: with which codes are hashed. `wait_s`: for redemptions
    that name no limit. `ask_again_s`: how long the user service's answer is waited for before it is asked again.
    `misses_max`: codes not accepted that an account may try in an hour.
    """

    def __init__(self, code_key: bytes, wait_s: float, ask_again_s: float = 30.0, misses_max: int = 10) -> None:
        self._code_key, self._misses_max = code_key, misses_max
        self._wait_s, self._ask_again_s = wait_s, ask_again_s

    async def load(self, connection: AsyncConnection, messages: Sequence[Message], now: datetime) -> Promos:
        """Lock and read the redemptions and codes that these messages are about."""
        ids = {each for message in messages if (each := _redemption_id(message.fact))}
        facts = [message.fact for message in messages]
        hashes = {self._hash(fact.code) for fact in facts if isinstance(fact, RedeemPromo | PutPromo)}
        uses = {(self._hash(fact.code), fact.account_id) for fact in facts if isinstance(fact, RedeemPromo)}
        puts = {message.key for message in messages if isinstance(message.fact, PutPromo)}
        return await store.load(connection, ids, hashes, uses, puts, now)

    def handle(self, state: Promos, message: Message, now: datetime) -> Sequence[Announcement]:
        """Decide one message."""
        if isinstance(message.fact, PutPromo):
            _put(state, message.key, message.fact, self._hash(message.fact.code))
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
        named = self._hash(fact.code) if isinstance(fact, RedeemPromo) else redemption.code_hash
        account_id = fact.account_id if isinstance(fact, RedeemPromo) else redemption.account_id
        holder = state.holders.get((named, account_id))
        at = Situation(
            redemption,
            state.codes.get(named),
            taken=holder is not None and holder != redemption.id,
            now=now,
            wait_s=self._wait_s,
            ask_again_s=self._ask_again_s,
            code_hash=named,
            misses=state.misses.get(account_id, 0),
            misses_max=self._misses_max,
        )
        return decide(at, fact)

    def _hash(self, code: str) -> str:
        return code_hash(self._code_key, code)


def _put(state: Promos, key: UUID, put: PutPromo, named: str) -> None:
    """Set the code, once for each message: again it would undo later puts."""
    if key in state.puts:
        return
    state.puts.add(key)
    known = state.codes.get(named)
    uses = known.uses if known else 0
    state.codes[named] = Promo(named, put.effect, put.valid_from, put.valid_until, put.uses_max, uses)


def _advance(state: Promos, step: Step) -> None:
    redemption = step.redemption
    state.redemptions[redemption.id] = redemption
    if step.promo is not None:
        state.codes[step.promo.code_hash] = step.promo
    if redemption.reason in MISSES:
        state.misses[redemption.account_id] = state.misses.get(redemption.account_id, 0) + 1
    use = (redemption.code_hash, redemption.account_id)
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
    return getattr(fact, fact.saga_field) if fact.saga_field in ("redemption_id", "operation_id") else None


def _announcement(step: Step, fact: Fact) -> Announcement:
    ends = isinstance(fact, PromoRedeemed | PromoRefused)
    return Announcement(fact, step.redemption.trace, step.redemption.claimed_at if ends else None, step.again)


def domain(settings: Settings) -> Domain[Promos]:
    """The promo service, as delivery sees it."""
    code_key = settings.code_key.get_secret_value().encode()
    return Domain(
        service="promo_service",
        facts=facts_for("promo_service"),
        tables=delivery,
        handlers=PromoHandlers(code_key, settings.wait_s, settings.ask_again_s, settings.misses_max),
        answers=views.answers(code_key),
        gauges=views.gauges,
    )
