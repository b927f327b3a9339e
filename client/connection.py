"""One connection to the broker, made when it is needed and made again when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, AuthenticationError, ProbableAuthenticationError, PublishError
from aiormq.exceptions import ChannelAccessRefused, ConnectionNotAllowed
from pydantic_core import from_json

from client.errors import NotAllowed, Unconfirmed, Unreachable
from client.settings import CA_FILE
from holdfast.delivery.names import QUERIES_EXCHANGE, REPLIES_EXCHANGE
from holdfast.delivery.rabbit.properties import read_whatever_comes
from holdfast.tls import check_broker_url, of_broker, problem

HEARTBEAT_S = 4
"""A connection whose other end has gone without a word is given up after a quarter of a minute, not after three."""
CONNECT_S_MAX = 5.0
CONFIRM_S_MAX = 5.0
CLOSE_S_MAX = 2.0
BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)
OUTAGE = (*CONNECTION_EXCEPTIONS, TimeoutError)

Done = TypeVar("Done")


class Connection:
    """`user`: the broker user. `name`: how the RabbitMQ UI shows the connection. `tls_ca_file`: see `holdfast.tls`."""

    def __init__(self, url: str, name: str, tls_ca_file: str = "") -> None:
        read_whatever_comes()
        parts = urlsplit(url)
        self.user = unquote(parts.username or "")
        self.place = f"{parts.hostname}:{parts.port or (5671 if parts.scheme == 'amqps' else 5672)}{parts.path}"
        self._tls = of_broker(check_broker_url(url), tls_ca_file)
        query = parts.query if "heartbeat=" in parts.query else f"{parts.query}&heartbeat={HEARTBEAT_S}".lstrip("&")
        self._url, self._name = urlunsplit(parts._replace(query=query)), name
        self._connection: AbstractConnection | None = None
        self._publishing: AbstractChannel | None = None
        self._replies: AbstractChannel | None = None
        self._reply_to = ""
        self._asked: dict[str, asyncio.Future[AbstractIncomingMessage]] = {}
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close the connection; what is still being asked fails."""
        self._lost()
        connection, self._connection = self._connection, None
        self._publishing = self._replies = None
        await _quietly(connection)

    async def open_channel(self, *, returns: bool = False) -> AbstractChannel:
        """A channel of one's own; with `returns`, a mandatory publish that no queue takes raises `PublishError`.

        A connection that has died unnoticed is made again. Raises `Unreachable` or `NotAllowed`.
        """
        async with self._opening:
            if self._connection is not None:
                try:
                    return await self._open_channel(returns)
                except Unreachable:
                    pass
            return await self._open_channel(returns)

    async def drop(self, channel: AbstractChannel) -> None:
        """Close a channel of one's own; what it holds unacknowledged goes back to its queues."""
        await _quietly(channel)

    async def publish(self, exchange: str, key: str, message: aio_pika.Message, timeout_s: float) -> None:
        """Publish until the broker confirms, for at most `timeout_s` seconds; again with the same message id.

        Raises `Unreachable` if it was never sent or no queue takes it, `Unconfirmed`, or `NotAllowed`.
        """
        message.user_id = self.user

        async def once(left_s: float) -> None:
            channel = await self._publishing_channel()
            try:
                await _confirmed(channel, exchange, key, message, left_s)
            except PublishError:
                raise
            except ChannelAccessRefused:
                await self._publish_alone(exchange, key, message, left_s)
            except OUTAGE as error:
                if self._publishing is channel:
                    self._publishing = None
                    await _quietly(channel)
                raise self._unconfirmed(key) from error

        try:
            await _until_done(once, timeout_s)
        except PublishError:
            raise Unreachable(f"nobody takes {key} at exchange {exchange} of {self.place}") from None
        except ChannelAccessRefused:
            raise NotAllowed(
                f"broker user {self.user!r} may not publish {key} to exchange {exchange}; an operator may, "
                "who is named in HOLDFAST_OPERATOR_AMQP_URL"
            ) from None

    async def _publish_alone(self, exchange: str, key: str, message: aio_pika.Message, left_s: float) -> None:
        """On a channel of its own: a refusal ends a channel for all that await a confirm on it, meant or not."""
        channel = await self.open_channel(returns=True)
        try:
            await _confirmed(channel, exchange, key, message, left_s)
        except (PublishError, ChannelAccessRefused):
            raise
        except OUTAGE as error:
            raise self._unconfirmed(key) from error
        finally:
            await self.drop(channel)

    def _unconfirmed(self, key: str) -> Unconfirmed:
        return Unconfirmed(f"the broker at {self.place} did not confirm {key} in time")

    async def ask(self, key: str, body: bytes, timeout_s: float) -> dict[str, Any]:
        """Ask and wait for the reply, for at most `timeout_s` seconds; asks again if the connection is lost.

        Raises `Unreachable` or `NotAllowed`.
        """

        async def once(left_s: float) -> dict[str, Any]:
            await self._open_replies()
            correlation_id = uuid4().hex
            reply = self._asked[correlation_id] = asyncio.get_running_loop().create_future()
            question = aio_pika.Message(
                body,
                content_type="application/json",
                reply_to=self._reply_to,
                correlation_id=correlation_id,
                expiration=left_s,
            )
            try:
                await self.publish(QUERIES_EXCHANGE, key, question, left_s)
                async with asyncio.timeout(left_s):
                    content: dict[str, Any] = from_json((await reply).body)
                    return content
            finally:
                self._asked.pop(correlation_id, None)
                if not reply.cancel() and not reply.cancelled():
                    reply.exception()

        try:
            return await _until_done(once, timeout_s)
        except (Unconfirmed, *OUTAGE):
            raise Unreachable(f"nobody answered {key} within {timeout_s:g} s") from None

    async def _publishing_channel(self) -> AbstractChannel:
        async with self._opening:
            if self._publishing is None or self._publishing.is_closed:
                self._publishing = await self._open_channel(returns=True)
            return self._publishing

    async def _open_replies(self) -> None:
        async with self._opening:
            if self._replies is not None and not self._replies.is_closed:
                return
            channel = await self._open_channel(returns=False)
            name = f"reply.{self.user}.{uuid4()}"
            queue = await channel.declare_queue(name, exclusive=True, auto_delete=True, durable=False)
            await queue.bind(await channel.get_exchange(REPLIES_EXCHANGE, ensure=False), name)
            await queue.consume(self._take_reply, no_ack=True)
            channel.close_callbacks.add(lambda *_: self._lost())
            self._replies, self._reply_to = channel, name

    async def _open_channel(self, returns: bool) -> AbstractChannel:
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                if self._connection is None or self._connection.is_closed:
                    self._connection = await aio_pika.connect(
                        self._url, ssl_context=self._tls, client_properties={"connection_name": self._name}
                    )
                return await self._connection.channel(publisher_confirms=returns, on_return_raises=returns)
        except (AuthenticationError, ProbableAuthenticationError, ConnectionNotAllowed):
            raise NotAllowed(f"the broker at {self.place} refuses user {self.user!r}: check the URL") from None
        except OUTAGE as error:
            await _quietly(self._connection)
            self._connection = None
            if reason := problem(error, "its URL (HOLDFAST_…AMQP_URL)", CA_FILE):
                raise Unreachable(f"no connection to the broker at {self.place}: {reason}") from error
            raise Unreachable(f"no broker answers at {self.place} ({_brief(error)})") from error

    async def _take_reply(self, reply: AbstractIncomingMessage) -> None:
        waiting = self._asked.get(reply.correlation_id or "")
        if waiting and not waiting.done():
            waiting.set_result(reply)

    def _lost(self) -> None:
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError("the connection was lost"))


async def _confirmed(
    channel: AbstractChannel, exchange: str, key: str, message: aio_pika.Message, left_s: float
) -> None:
    target = await channel.get_exchange(exchange, ensure=False)
    await target.publish(message, key, mandatory=True, timeout=min(left_s, CONFIRM_S_MAX))


async def _until_done(once: Callable[[float], Awaitable[Done]], timeout_s: float) -> Done:
    """Try until it succeeds or `timeout_s` seconds are over; then the last outage is raised."""
    loop = asyncio.get_running_loop()
    deadline, failures, sent = loop.time() + timeout_s, 0, None
    while True:
        try:
            return await once(max(0.01, deadline - loop.time()))
        except (PublishError, ChannelAccessRefused):
            raise
        except (Unreachable, Unconfirmed, *OUTAGE) as error:
            sent = error if isinstance(error, Unconfirmed) else sent
            pause_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
            failures += 1
            if loop.time() + pause_s >= deadline:
                raise sent or error from None
            await asyncio.sleep(pause_s)


async def _quietly(closing: AbstractConnection | AbstractChannel | None) -> None:
    """Close what may be broken already."""
    if closing is not None:
        try:
            await asyncio.wait_for(closing.close(), CLOSE_S_MAX)
        except OUTAGE:
            return


def _brief(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:120]
