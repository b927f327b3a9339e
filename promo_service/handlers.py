"""What the promo service does with each message: find the redemption and its code, let `promo.py` decide, keep it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.base import COINS_MAX
from contracts.commands import PutPromo, RedeemPromo
from contracts.events import OperationEvent, PromoRedeemed, PromoRefused
from contracts.topology import SHOP
from holdfast import __version__
from holdfast.delivery.domain import Domain, Refused
from holdfast.delivery.message import Announcement, Message
from holdfast.delivery.words import Fact
from promo_service import store, views
from promo_service.claims import Claims, is_spent
from promo_service.codes import code_hash
from promo_service.promo import AnswerOverdue, Contradiction, Situation, Step, decide
from promo_service.redemption import MISSES, MISSES_S, Promo, Redemption
from promo_service.settings import Settings
from promo_service.store import Promos, Touched
from promo_service.tables import delivery
from promo_service.uses import UseFact, WaitOverdue, key_of

DUE_TOGETHER_MAX = 500


class PromoHandlers:
    """Handles messages about codes and redemptions. `code_key`: with which codes are hashed. `wait_s`: for redemptions
    that name no limit. `ask_again_s`: how long the user service's answer is waited for before it is asked again.
    `misses_max`: codes not accepted that an account may try in an hour. `waiting_max`: redemptions that may wait for a
    use of one code, in all and by one account.
    """

    def __init__(
        self,
        code_key: bytes,
        wait_s: float,
        ask_again_s: float = 30.0,
        misses_max: int = 10,
        waiting_max: int = 200,
    ) -> None:
        self._code_key, self._misses_max, self._waiting_max = code_key, misses_max, waiting_max
        self._wait_s, self._ask_again_s = wait_s, ask_again_s
        self._keeper = store.keeper()

    async def load(self, connection: AsyncConnection, messages: Sequence[Message], now: datetime) -> Promos:
        """Lock and read what these messages are about."""
        return await store.load(connection, self._touched(messages), self._keeper, now)

    def handle(self, state: Promos, message: Message, now: datetime) -> Sequence[Announcement]:
        """Decide one message."""
        claims = Claims(state.uses, now, message.fact.type, self._waiting_max)
        if isinstance(message.fact, PutPromo):
            _put(state, message.key, message.fact, self._hash(message.fact.code))
            return []
        if isinstance(message.fact, WaitOverdue):
            with state.uses.deciding():
                return self._tell(state, claims.pass_time(message.fact.key), claims)
        redemption_id = _redemption_id(message.fact)
        if redemption_id is None:
            return []
        redemption = state.redemptions.get(redemption_id) or Redemption(redemption_id, trace=message.trace)
        try:
            step = decide(self._situation(state, redemption, message.fact, now), message.fact)
        except Contradiction as error:
            raise Refused(str(error)) from None
        with state.uses.deciding():
            said, told = _perform(state, redemption, step, claims)
            return said + self._tell(state, told, claims)

    async def save(self, connection: AsyncConnection, state: Promos) -> None:
        """Keep what changed."""
        await store.save(connection, state, self._keeper)

    async def due(self, connection: AsyncConnection) -> Sequence[Fact]:
        """Uses that were waited for long enough, and redemptions whose answer is overdue."""
        waited = await self._keeper.due(connection, DUE_TOGETHER_MAX)
        unanswered = await store.unanswered(connection, DUE_TOGETHER_MAX)
        return [
            *(WaitOverdue(key=each) for each in waited),
            *(AnswerOverdue(redemption_id=each) for each in unanswered),
        ]

    def _tell(self, state: Promos, told: Iterable[UseFact], claims: Claims) -> list[Announcement]:
        """Decide what redemptions are told of their claims, then what others are told for that, until nobody is."""
        announced: list[Announcement] = []
        waiting = deque(told)
        while waiting:
            fact = waiting.popleft()
            redemption = state.redemptions[fact.redemption_id]
            step = decide(self._situation(state, redemption, fact, claims.now), fact)
            said, more = _perform(state, redemption, step, claims)
            announced += said
            waiting += more
        return announced

    def _situation(self, state: Promos, redemption: Redemption, fact: Fact, now: datetime) -> Situation:
        at = Situation(redemption, None, now, wait_s=self._wait_s, ask_again_s=self._ask_again_s)
        if not isinstance(fact, RedeemPromo):
            return at
        named, account_id = self._hash(fact.code), fact.account_id
        promo = state.codes.get(named)
        return replace(
            at,
            promo=promo,
            taken=is_spent(state.uses, key_of("account", named, account_id), 1),
            used_up=is_spent(state.uses, named, promo.uses_max or COINS_MAX) if promo else False,
            code_hash=named,
            misses=state.misses.get(account_id, 0),
            misses_max=self._misses_max,
        )

    def _touched(self, messages: Sequence[Message]) -> Touched:
        touched = Touched()
        for message in messages:
            match message.fact:
                case PutPromo() as fact:
                    touched.hashes.add(self._hash(fact.code))
                    touched.puts.add(message.key)
                case RedeemPromo() as fact:
                    named = self._hash(fact.code)
                    touched.redemptions.add(fact.redemption_id)
                    touched.hashes.add(named)
                    touched.pairs.add((named, fact.account_id))
                case WaitOverdue() as fact:
                    named, _, account_id = fact.key.partition("/")
                    touched.hashes.add(named)
                    touched.pairs |= {(named, account_id)} if account_id else set()
                case fact if redemption_id := _redemption_id(fact):
                    touched.redemptions.add(redemption_id)
        return touched

    def _hash(self, code: str) -> str:
        return code_hash(self._code_key, code)


def _put(state: Promos, key: UUID, put: PutPromo, named: str) -> None:
    """Set the code, once for each message: again it would undo later puts."""
    if key not in state.puts:
        state.puts.add(key)
        state.codes[named] = Promo(named, put.effect, put.valid_from, put.valid_until, put.uses_max, put.scarce)


def _perform(state: Promos, before: Redemption, step: Step, claims: Claims) -> tuple[list[Announcement], list[UseFact]]:
    """Keep the step and do what it wants. Returns what is announced, and what redemptions are told for it."""
    if step.redemption is not before:
        _keep(state, step.redemption, claims.now)
    told = [each for want in step.wants for each in claims.do(step.redemption, want)]
    return [_announcement(step, fact) for fact in step.facts], told


def _keep(state: Promos, redemption: Redemption, now: datetime) -> None:
    state.redemptions[redemption.id] = redemption
    since = now - timedelta(seconds=MISSES_S)
    if redemption.reason in MISSES and redemption.claimed_at and redemption.claimed_at > since:
        state.misses[redemption.account_id] = state.misses.get(redemption.account_id, 0) + 1


def _redemption_id(fact: Fact) -> UUID | None:
    """The redemption that the fact is about; None if it is about a code."""
    return fact.operation_id if isinstance(fact, OperationEvent) else getattr(fact, "redemption_id", None)


def _announcement(step: Step, fact: Fact) -> Announcement:
    ends = isinstance(fact, PromoRedeemed | PromoRefused)
    return Announcement(fact, step.redemption.trace, step.redemption.claimed_at if ends else None, step.again)


def domain(settings: Settings) -> Domain[Promos]:
    """The promo service, as delivery sees it."""
    code_key = settings.code_key.get_secret_value().encode()
    limits = settings.wait_s, settings.ask_again_s, settings.misses_max, settings.waiting_max
    return Domain(
        service="promo_service",
        topology=SHOP,
        version=__version__,
        tables=delivery,
        handlers=PromoHandlers(code_key, *limits),
        answers=views.answers(code_key),
        gauges=views.gauges,
    )
