"""What the gift service answers when it is asked, and the figures it shows."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from examples.gift_service.tables import OPEN, gifts
from examples.gift_service.words import GiftView, ShowGift
from holdfast.delivery.domain import Answerer
from holdfast.delivery.queries import Query
from holdfast.delivery.words import Contract


async def show_gift(connection: AsyncConnection, query: Query) -> Contract | None:
    """One gift."""
    assert isinstance(query, ShowGift)
    row = (await connection.execute(select(gifts).where(gifts.c.gift_id == query.gift_id))).first()
    if row is None:
        return None
    return GiftView(
        gift_id=row.gift_id,
        account_id=row.account_id,
        receiver_id=row.receiver_id,
        amount=row.amount or None,
        state=row.state,
        reason=row.reason,
        deadline=row.deadline,
    )


async def gauges(connection: AsyncConnection) -> Mapping[str, float]:
    """Gifts that have not ended, how long the oldest has been open, and coins that have left a giver and are nobody's
    so far.
    """
    row = (await connection.execute(_OPEN)).one()
    return {
        "gifts_open": float(row.gifts),
        "gifts_open_oldest_seconds": float(row.oldest_s or 0),
        "gifts_coins_on_their_way": float(row.coins or 0),
    }


_OPEN = text(
    "SELECT count(*) AS gifts, extract(epoch FROM clock_timestamp() - min(began_at)) AS oldest_s,"  # noqa: S608
    " sum(amount) FILTER (WHERE state IN ('delivered', 'owed', 'returning')) AS coins"
    f" FROM gifts WHERE {OPEN}"
)


def answers() -> Mapping[type[Query], Answerer]:
    """What is answered by which."""
    return {ShowGift: show_gift}
