"""Sending commands: what each comes after, and that the broker has it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from uuid import UUID, uuid4

import aio_pika

from client import waiting
from client.connection import Connection
from client.errors import CommandRefused, NotAllowed, Unconfirmed, Unreachable
from client.messages import own_id
from client.questions import Questions
from client.recent import Memory, Recent, joined
from contracts.commands import PlaceOrder
from holdfast.delivery.envelope import Envelope, encode, parts
from holdfast.delivery.queries import OutcomeView, ShowOutcome
from holdfast.delivery.words import Contract, Fact, Service

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


class Sender:
    """Sends commands as one broker user, remembers those whose answers are not known, and asks what became of them."""

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
        self.ask = Questions(self.connection, self._learn)
        self._memory = memory or Recent()
        self._traceparent = traceparent

    async def __aenter__(self) -> Self:
        """Connect. Raises `Unreachable` or `NotAllowed`."""
        channel = await self.connection.open_channel()
        await channel.close()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()

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
        is_parked = view.outcome == "parked"
        if is_parked or (sent.service == "user_service" and not getattr(sent.command, "after", ())):
            self._forget(sent.command)
        if is_parked:
            raise CommandRefused(view.reason or "no reason given")
        return view

    def _follow(self, command: Fact, fill_after: bool) -> Fact:
        """Remember the command; with `fill_after`, it names those that are remembered."""
        about = own_id(command)
        if about is None or not hasattr(command, "after"):
            return command
        given = None if fill_after else command.after
        after = self._memory.follow(command.subject, about, given, time.time())
        return command.model_copy(update={"after": after})

    def _learn(self, view: Contract) -> None:
        """Forget what need not be named any more, or must not be, now that this answer was seen."""
        for account_id, own in joined(view):
            self._memory.forget(account_id, own)

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
