"""Clients, who send commands and hear how their sagas end, the operator, and the warehouse that answers for orders."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from contracts.commands import (
    CancelOrder,
    ChargeFee,
    CreditAccount,
    FulfilmentAccepted,
    FulfilmentRejected,
    OpenAccount,
    PlaceOrder,
    PutItem,
    PutPromo,
    RedeemPromo,
)
from contracts.roles import Bonus, Multiply
from holdfast.delivery.words import Fact, Service
from tests.simulation.guest import EXCHANGE, Guest
from tests.simulation.history import name_of
from tests.simulation.plan import EXTERNAL, Goods, Plan, Promotion, Saga

if TYPE_CHECKING:
    from tests.simulation.world import World

ENDS = frozenset(
    (
        "coins.credited credit",
        "coins.refused credit",
        "coins.charged",
        "coins.refused fee",
        "order.completed",
        "order.failed",
        "order.cancelled",
        "promo.redeemed",
        "promo.refused",
    )
)
"""What tells a client that its saga has ended."""

GUEST_ENDS = frozenset(
    (
        "coins.credited",
        "coins.multiplied",
        "coins.refused",
        "coins.captured",
        "coins.released",
        "coins.expired",
    )
)
"""What tells the guest so."""

RESEND_S_MAX = 40.0


class Clients:
    """All clients of one run."""

    def __init__(self, plan: Plan, world: World) -> None:
        self._plan, self._world = plan, world
        self._guest = Guest(plan, world)
        self._sagas = {saga.id: saga for saga in plan.sagas}
        self._by_number = {saga.number: saga for saga in plan.sagas}
        self._followers: dict[UUID, list[Saga]] = {}
        self._commands: dict[UUID, Fact] = {}
        for saga in plan.sagas:
            if saga.follows in self._by_number:
                self._followers.setdefault(self._by_number[saga.follows].id, []).append(saga)

    def set_up(self) -> dict[Service, list[Fact]]:
        """The catalog, the codes, and the accounts that are open before the first saga."""
        accounts = [OpenAccount(account_id=each) for each in self._plan.accounts if each not in self._plan.opened_late]
        return {
            "order_service": [_put_item(each) for each in self._plan.goods],
            "promo_service": [_put_promo(each) for each in self._plan.promotions],
            "user_service": [*accounts],
        }

    def start(self) -> None:
        """Everybody begins, in his time."""
        for each in self._plan.opened_late:
            self._world.send(OpenAccount(account_id=each), self._world.draw_id())
        for put in self._plan.puts:
            self._world.later(put.at, self._send, _put_item(put.goods))
        for saga in self._plan.sagas:
            if saga.follows not in self._by_number:
                self._world.later(saga.at, self.begin, saga)
        if "purge" in self._plan.faults and self._plan.mode == "liveness":
            self._world.later(self._world.calm_at + 0.1, self._ask_again)

    def begin(self, saga: Saga) -> None:
        """Send the saga's command, and later perhaps send it again, or cancel it."""
        self._world.history.sent.setdefault(saga.id, self._world.time)
        if saga.kind == "guest":
            self._guest.begin(saga, self._plan.named_by(saga))
            return
        command = self._commands[saga.id] = self._command(saga)
        self._send(command)
        if saga.cancels_after_s is not None:
            cancel = CancelOrder(order_id=saga.id, account_id=saga.account)
            self._world.later(saga.cancels_after_s, self._send, cancel)

    def hear(self, fact: Fact, at: float) -> None:
        """A client hears an announcement at `at`."""
        saga_id = getattr(fact, fact.saga_field)
        if fact.exchange == "user":
            self._guest.hear(fact, saga_id, at)
        asked_by = getattr(fact, "asked_by", None)
        match fact.type:
            case "fulfilment.requested":
                self._ask_warehouse(fact, at, early=False)
            case "order.placed":
                self._ask_warehouse(fact, at, early=True)
            case _ if name_of(fact) in ENDS and asked_by != EXCHANGE:
                self._end(saga_id, at)
            case _ if fact.type in GUEST_ENDS and asked_by == EXCHANGE:
                self._end(saga_id, at)
            case _:
                pass

    def label(self, fact: Fact) -> str:
        """How the trace names a fact: its type, and the number of its saga or its subject."""
        saga = self._sagas.get(getattr(fact, fact.saga_field))
        return f"{fact.type}({saga.number if saga else fact.subject})"

    def _send(self, command: Fact) -> None:
        message_id = self._world.draw_id()
        self._world.send(command, message_id)
        if self._world.chance("resend", 0.2):
            again = message_id if self._is_put(command) or self._world.draw(0, 1) < 0.5 else self._world.draw_id()
            after_s = self._world.draw(0.0, RESEND_S_MAX)
            self._world.later(after_s, self._world.send, command, again)

    def _is_put(self, command: Fact) -> bool:
        """An item that is put under another id is put again, on purpose."""
        return isinstance(command, PutItem)

    def _command(self, saga: Saga) -> Fact:
        after = self._plan.named_by(saga)
        match saga.kind:
            case "credit":
                return CreditAccount(credit_id=saga.id, account_id=saga.account, amount=saga.size, after=after)
            case "fee":
                return ChargeFee(fee_id=saga.id, account_id=saga.account, percent=saga.size, after=after)
            case "redeem":
                return RedeemPromo(
                    redemption_id=saga.id, account_id=saga.account, code=saga.of, wait_s=saga.lasts_s, after=after
                )
            case _:
                return PlaceOrder(
                    order_id=saga.id,
                    account_id=saga.account,
                    item=saga.of,
                    quantity=saga.size,
                    deadline_s=saga.lasts_s,
                    after=after,
                )

    def _ask_warehouse(self, fact: Fact, at: float, early: bool) -> None:
        saga = self._sagas[getattr(fact, fact.saga_field)]
        answers_early = saga.of in EXTERNAL and saga.owner == "accepts" and saga.answers_after_s < 0.1
        if saga.owner == "is silent" or early != answers_early:
            return
        answer: Fact = FulfilmentAccepted(order_id=saga.id)
        if saga.owner == "rejects":
            answer = FulfilmentRejected(order_id=saga.id)
        self._world.later(at - self._world.time + saga.answers_after_s, self._send, answer)

    def _end(self, saga_id: UUID, at: float) -> None:
        if saga_id in self._world.history.ended:
            return
        self._world.history.ended[saga_id] = at
        for follower in self._followers.get(saga_id, ()):
            self._world.later(at - self._world.time + follower.at, self.begin, follower)

    def _ask_again(self) -> None:
        """After a purge, a client that has not heard the end of its saga sends its command again."""
        for account in self._plan.opened_late:
            self._world.send(OpenAccount(account_id=account), self._world.draw_id())
        for saga in self._plan.sagas:
            if saga.id in self._world.history.sent and saga.id not in self._world.history.ended:
                if saga.kind == "guest":
                    self._guest.ask_again(saga)
                else:
                    self._world.send(self._commands[saga.id], self._world.draw_id())


def _put_item(goods: Goods) -> Fact:
    return PutItem(
        item=goods.name,
        price=goods.price,
        stock=goods.stock,
        fulfilment="external" if goods.external else "instant",
        scarce=goods.scarce,
    )


def _put_promo(promotion: Promotion) -> Fact:
    size = promotion.size
    return PutPromo(
        code=promotion.code,
        effect=Multiply(factor=size) if promotion.multiplies else Bonus(amount=size),
        uses_max=promotion.uses_max,
        scarce=promotion.scarce,
    )
