"""Questions over the broker: a request, a read, an answer to the asker's own queue."""

from __future__ import annotations

import aio_pika
import structlog
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from pydantic import ValidationError
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncEngine

from holdfast.delivery.database import is_outage
from holdfast.delivery.domain import Answerer
from holdfast.delivery.envelope import parse
from holdfast.delivery.names import DEATH_HEADER, QUERIES_EXCHANGE, REPLIES_EXCHANGE
from holdfast.delivery.queries import EVERY_SERVICE_QUERIES, Query
from holdfast.delivery.words import Malformed, Service, explain

log = structlog.get_logger(__name__)


class Answering:
    """Answers the questions of one service. An error in a question is answered with its reason."""

    def __init__(self, service: Service, answers: dict[type[Query], Answerer], engine: AsyncEngine, user: str) -> None:
        self._engine, self._user = engine, user
        self._by_key = {
            f"{service}.{query.type}" if query.type in EVERY_SERVICE_QUERIES else query.type: (query, answerer)
            for query, answerer in answers.items()
        }

    async def take(self, request: AbstractIncomingMessage) -> None:
        """Answer one request, then acknowledge it, whatever it is: unacknowledged ones keep others from coming."""
        asker = request.user_id
        reply_to = request.reply_to or ""
        if not asker or not reply_to.startswith(f"reply.{asker}."):
            log.warning("question without its own reply queue", user=asker, reply_to=reply_to)
        else:
            try:
                await self._reply(request, reply_to)
            except CONNECTION_EXCEPTIONS as error:
                log.info("answer lost", error=repr(error)[:200])
            except Exception as error:
                log.warning("answer cannot be sent", user=asker, error=repr(error)[:200])
        try:
            await request.ack()
        except CONNECTION_EXCEPTIONS as error:
            log.info("acknowledgement lost", error=repr(error)[:200])

    async def _reply(self, request: AbstractIncomingMessage, reply_to: str) -> None:
        if request.exchange == QUERIES_EXCHANGE and DEATH_HEADER not in request.headers:
            reply = await self._answer(request.routing_key or "", request.body)
        else:
            reply = {"error": f"ask by publishing to the exchange {QUERIES_EXCHANGE!r} yourself"}
        message = aio_pika.Message(
            to_json(reply),
            content_type="application/json",
            correlation_id=request.correlation_id,
            user_id=self._user,
            type="error" if "error" in reply else "answer",
        )
        await request.channel.basic_publish(
            message.body, exchange=REPLIES_EXCHANGE, routing_key=reply_to, properties=message.properties
        )

    async def _answer(self, key: str, body: bytes) -> dict[str, object]:
        if key not in self._by_key:
            return {"error": f"{key!r} is not a question here; known: {', '.join(sorted(self._by_key))}"}
        query, answerer = self._by_key[key]
        try:
            asked = query.model_validate(parse(body) if body else {})
            async with self._engine.connect() as connection:
                answer = await answerer(connection, asked)
        except ValidationError as error:
            return {"error": explain(error)}
        except Malformed as error:
            return {"error": str(error)}
        except Exception as error:
            log.warning("question failed", key=key, error=repr(error)[:300])
            return {"error": "the database is away, ask again" if is_outage(error) else "internal error, see the log"}
        return {"answer": None if answer is None else answer.model_dump(mode="json")}
