"""The async client: commands that return once the broker has them, questions, and waiting for what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

from client import waiting
from client.sending import WAIT_S_MAX, Sender, Sent
from contracts.base import Scarce
from contracts.commands import (
    CancelOrder,
    CreditAccount,
    FulfilmentAccepted,
    FulfilmentRejected,
    OpenAccount,
    PlaceOrder,
    PutItem,
    PutPromo,
    RedeemPromo,
)
from contracts.queries import OperationView, OrderView, RedemptionView
from contracts.roles import PromoEffect

__all__ = ["Client", "Sent"]


class Client(Sender):
    """A person's or program's way in, as one broker user. Use it as an async context manager.

    It fills in `after` by itself: orders and redemptions come after the account's commands that were sent before,
    through the same `memory`, and whose answers it has not seen, unless the caller says otherwise. Credits are named,
    but name nothing, so that they never wait. Ids may be given, so that sending again does nothing again.
    Sending raises `Unreachable`, `Unconfirmed` or `NotAllowed`, and pydantic's `ValidationError` for values that cannot
    be. A lost connection is made again. A broker at `amqps://…` is verified by `tls_ca_file`, or by what the system
    trusts.
    """

    async def open_account(self, account_id: str) -> Sent:
        """Open an account."""
        return await self.send(OpenAccount(account_id=account_id))

    async def credit(
        self, account_id: str, amount: int, *, credit_id: UUID | None = None, after: Sequence[UUID] | None = None
    ) -> Sent:
        """Add `amount` coins. It comes after nothing unless `after` says so: a credit can only help what follows it."""
        command = CreditAccount(
            credit_id=credit_id or uuid4(), account_id=account_id, amount=amount, after=tuple(after or ())
        )
        return await self.send(command)

    async def place_order(
        self,
        account_id: str,
        item: str,
        quantity: int = 1,
        *,
        deadline_s: float | None = None,
        order_id: UUID | None = None,
        after: Sequence[UUID] | None = None,
    ) -> Sent:
        """Buy; the order fails if it isn't fulfilled within `deadline_s` seconds."""
        command = PlaceOrder(
            order_id=order_id or uuid4(),
            account_id=account_id,
            item=item,
            quantity=quantity,
            deadline_s=deadline_s,
            after=tuple(after or ()),
        )
        return await self.send(command, after is None)

    async def cancel_order(self, account_id: str, order_id: UUID) -> Sent:
        """Cancel an order that is not confirmed yet."""
        return await self.send(CancelOrder(order_id=order_id, account_id=account_id))

    async def redeem_promo(
        self,
        account_id: str,
        code: str,
        *,
        wait_s: float | None = None,
        redemption_id: UUID | None = None,
        after: Sequence[UUID] | None = None,
    ) -> Sent:
        """Redeem a code. With `wait_s`, its effect is withdrawn if it must wait longer than so many seconds for
        operations ahead of it. Without, redeeming is irrevocable: nothing withdraws the effect once the account has it,
        so that it is accepted at once, and what it surely adds can be spent before its size is certain.
        """
        command = RedeemPromo(
            redemption_id=redemption_id or uuid4(),
            account_id=account_id,
            code=code,
            wait_s=wait_s,
            after=tuple(after or ()),
        )
        return await self.send(command, after is None)

    async def put_item(
        self,
        item: str,
        price: int,
        stock: int | None = None,
        fulfilment: Literal["instant", "external"] = "instant",
        *,
        scarce: Scarce = "wait",
    ) -> Sent:
        """Set an item of the catalog. For operators.

        `stock`: the pieces that no order has; None: an `instant` item has none, and an `external` one is not counted.
        `scarce`: whether an order waits, or is refused at once, while there are no pieces for it but some may come
        back.
        """
        return await self.send(PutItem(item=item, price=price, stock=stock, fulfilment=fulfilment, scarce=scarce))

    async def put_promo(
        self,
        code: str,
        effect: PromoEffect,
        *,
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        uses_max: int | None = None,
        scarce: Scarce = "wait",
    ) -> Sent:
        """Set a promo code. For operators.

        `scarce`: whether a redemption waits, or is refused at once, while there is no use for it but one may come back.
        """
        command = PutPromo(
            code=code,
            effect=effect,
            valid_from=valid_from,
            valid_until=valid_until,
            uses_max=uses_max,
            scarce=scarce,
        )
        return await self.send(command)

    async def accept_fulfilment(self, order_id: UUID) -> Sent:
        """Say that the goods of an order are there. For operators."""
        return await self.send(FulfilmentAccepted(order_id=order_id))

    async def reject_fulfilment(self, order_id: UUID, reason: str = "rejected") -> Sent:
        """Say that an order cannot be fulfilled. For operators."""
        return await self.send(FulfilmentRejected(order_id=order_id, reason=reason))

    async def wait_for_order(self, order_id: UUID, timeout_s: float = WAIT_S_MAX) -> OrderView:
        """Wait until the order is completed, failed or cancelled. Raises `StillOpen` or `Unreachable`."""
        return await waiting.until(
            lambda: self.ask.order(order_id, timeout_s), waiting.order_ended, timeout_s, f"order {order_id}"
        )

    async def wait_for_redemption(self, redemption_id: UUID, timeout_s: float = WAIT_S_MAX) -> RedemptionView:
        """Wait until the code took effect or was refused. Raises `StillOpen` or `Unreachable`."""
        return await waiting.until(
            lambda: self.ask.redemption(redemption_id, timeout_s),
            waiting.redemption_ended,
            timeout_s,
            f"redemption {redemption_id}",
        )

    async def wait_for_operation(
        self, account_id: str, operation_id: UUID, timeout_s: float = WAIT_S_MAX
    ) -> OperationView:
        """Wait until the account has answered the operation. Raises `StillOpen` or `Unreachable`."""
        return await waiting.until(
            lambda: self.ask.operation(account_id, operation_id, timeout_s),
            waiting.operation_answered,
            timeout_s,
            f"operation {operation_id}",
        )
