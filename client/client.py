"""The async client: commands that return once the broker has them, questions, and waiting for what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self
from uuid import UUID, uuid4

import aio_pika

from client import waiting
from client.connection import Connection
from client.errors import CommandRefused, NotAllowed, Unconfirmed, Unreachable
from client.messages import own_id
from client.questions import Questions
from client.recent import Memory, Recent
from contracts.base import Fact, Service
from contracts.commands import CancelOrder, CreditAccount, FulfilmentAccepted, FulfilmentRejected, OpenAccount, PlaceOrder, PutItem, PutPromo, RedeemPromo
from contracts.roles import PromoEffect
from contracts.envelope import Envelope, encode, parts
from contracts.queries import OperationView, OrderView, OutcomeView, RedemptionView, ShowOutcome

SEND_S_MAX = 15.0
WAIT_S_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Sent:
    """A command that the broker has confirmed.

    `id`: the credit, order or redemption it is about, or the command itself where there is none. `command_id`: its
    message id, by which `Client.outcome` finds it.
    """

    id: UUID
    command_id: UUID
    command: Fact

    @property
    def service(self) -> Service:
        """The service that takes it."""
        return self.command.consumers[0]


class Client:
    """A person's or program's way in, as one broker user. Use it as an async context manager.

    It fills in `after` by itself: a command keeps its place behind the account's recent commands that were sent through
    the same `memory`, unless the caller says otherwise. Ids may be given, so that sending again does nothing again.
    Sending raises `Unreachable`, `Unconfirmed` or `NotAllowed`, and pydantic's `ValidationError` for values that cannot
    be. A lost connection is made again. A broker at `amqps://…` is verified by `tls_ca_file`, or by what the system
    trusts.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "holdfast client",
        memory: Memory | None = None,
        traceparent: str | None = None,
        tls_ca_file: str = "",
    ) -> None:
        self.connection = Connection(url, name, tls_ca_file)
        self.ask = Questions(self.connection)
        self._memory = memory or Recent()
        self._traceparent = traceparent

    async def __aenter__(self) -> Self:
        """Connect. Raises `Unreachable` or `NotAllowed`."""
        channel = await self.connection.open_channel()
        await channel.close()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()

    async def open_account(self, account_id: str) -> Sent:
        """Open an account."""
        return await self.send(OpenAccount(account_id=account_id))

    async def credit(
        self, account_id: str, amount: int, *, credit_id: UUID | None = None, after: Sequence[UUID] | None = None
    ) -> Sent:
        """Add `amount` coins."""
        command = CreditAccount(
            credit_id=credit_id or uuid4(), account_id=account_id, amount=amount, after=tuple(after or ())
        )
        return await self.send(command, after is None)

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
        """Redeem a code, whose effect may wait `wait_s` seconds for reservations ahead of it."""
        command = RedeemPromo(
            redemption_id=redemption_id or uuid4(),
            account_id=account_id,
            code=code,
            wait_s=wait_s,
            after=tuple(after or ()),
        )
        return await self.send(command, after is None)

    async def put_item(
        self, item: str, price: int, stock: int = 0, fulfilment: Literal["instant", "external"] = "instant"
    ) -> Sent:
        """Set an item of the catalog. For operators."""
        return await self.send(PutItem(item=item, price=price, stock=stock, fulfilment=fulfilment))

    async def put_promo(
        self,
        code: str,
        effect: PromoEffect,
        *,
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        uses_max: int | None = None,
    ) -> Sent:
        """Set a promo code. For operators."""
        return await self.send(
            PutPromo(code=code, effect=effect, valid_from=valid_from, valid_until=valid_until, uses_max=uses_max)
        )

    async def accept_fulfilment(self, order_id: UUID) -> Sent:
        """Say that the goods of an order are there. For operators."""
        return await self.send(FulfilmentAccepted(order_id=order_id))

    async def reject_fulfilment(self, order_id: UUID, reason: str = "rejected") -> Sent:
        """Say that an order cannot be fulfilled. For operators."""
        return await self.send(FulfilmentRejected(order_id=order_id, reason=reason))

    async def send(self, command: Fact, fill_after: bool = False) -> Sent:
        """Send any command, as it is, or with `after` filled in."""
        command = self._follow(command, fill_after)
        envelope = self._envelope(command)
        about = own_id(command) or envelope.id
        try:
            await self._publish([envelope], command.type)
        except (Unreachable, NotAllowed):
            self._forget(command)
            raise
        except Unconfirmed as error:
            raise Unconfirmed(f"{error}; it acts once if it is sent again with id {about}") from error
        return Sent(about, envelope.id, command)

    async def place_orders(self, orders: Sequence[PlaceOrder]) -> list[Sent]:
        """Send orders together, as they are; see `send_together`."""
        return await self.send_together(orders)

    async def send_together(self, commands: Sequence[Fact]) -> list[Sent]:
        """Send commands of one type as one message (several if there are too many), with `after` as given.

        Raises `ValueError` if their types differ.
        """
        if len({command.type for command in commands}) > 1:
            raise ValueError("commands that are sent together are of one type")
        sent: list[Envelope] = []
        try:
            for part in parts([self._envelope(self._follow(command, False)) for command in commands]):
                await self._publish(part, part[0].type)
                sent += part
        except (Unreachable, NotAllowed):
            for command in commands[len(sent) :]:
                self._forget(command)
            raise
        return [
            Sent(own_id(command) or envelope.id, envelope.id, command)
            for command, envelope in zip(commands, sent, strict=True)
        ]

    async def outcome(self, sent: Sent, timeout_s: float = WAIT_S_MAX) -> OutcomeView:
        """Wait until the service has handled the command. Raises `CommandRefused`, `StillOpen` or `Unreachable`."""
        question = ShowOutcome(message_id=sent.command_id)

        async def look() -> OutcomeView:
            return await self.ask.outcome(question, sent.service, timeout_s)

        what = f"{sent.command.type} at {sent.service}"
        view = await waiting.until(look, lambda seen: seen.outcome != "unknown", timeout_s, what)
        if view.outcome == "parked":
            self._forget(sent.command)
            raise CommandRefused(view.reason or "no reason given")
        return view

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

    def _follow(self, command: Fact, fill_after: bool) -> Fact:
        """Remember the command; with `fill_after`, it names the account's recent ones."""
        about = own_id(command)
        if about is None or not hasattr(command, "after"):
            return command
        given = None if fill_after else command.after
        after = self._memory.follow(command.subject, about, given, time.time())
        return command.model_copy(update={"after": after})

    def _forget(self, command: Fact) -> None:
        about = own_id(command)
        if about is not None and hasattr(command, "after"):
            self._memory.forget(command.subject, about)

    def _envelope(self, command: Fact) -> Envelope:
        return Envelope(
            specversion="1.0",
            id=uuid4(),
            source=f"client/{self.connection.user}",
            type=command.type,
            subject=command.subject,
            time=datetime.now(UTC),
            correlationid=command.saga,
            traceparent=self._traceparent,
            data=command.model_dump(mode="json", exclude_none=True),
        )

    async def _publish(self, envelopes: Sequence[Envelope], key: str) -> None:
        content_type, body = encode(envelopes)
        message = aio_pika.Message(
            body,
            content_type=content_type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=str(envelopes[0].id if len(envelopes) == 1 else uuid4()),
            type=key,
            app_id="holdfast client",
            timestamp=envelopes[0].time,
        )
        await self.connection.publish("commands", key, message, SEND_S_MAX)
