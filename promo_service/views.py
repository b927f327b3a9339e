"""What the promo service answers when it is asked, and the figures it shows."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.base import Contract
from contracts.queries import PromoView, Query, RedemptionView, ShowPromo, ShowRedemption
from messaging.domain import Answerer
from promo_service import store
from promo_service.tables import codes, redemptions


async def show_redemption(connection: AsyncConnection, query: Query) -> Contract | None:
    """One redemption."""
    assert isinstance(query, ShowRedemption)
    wanted = select(redemptions).where(redemptions.c.redemption_id == query.redemption_id)
    row = (await connection.execute(wanted)).first()
    if row is None:
        return None
    return RedemptionView(
        redemption_id=row.redemption_id,
        account_id=row.account_id,
        code=row.code,
        state=row.state,
        reason=row.reason,
        added=row.added,
    )


async def show_promo(connection: AsyncConnection, query: Query) -> Contract | None:
    """One promo code."""
    assert isinstance(query, ShowPromo)
    row = (await connection.execute(select(codes).where(codes.c.code == query.code))).first()
    if row is None:
        return None
    promo = store.promo(row)
    return PromoView(
        code=promo.code,
        effect=promo.effect,
        valid_from=promo.valid_from,
        valid_until=promo.valid_until,
        uses_max=promo.uses_max,
        uses=promo.uses,
    )


async def gauges(connection: AsyncConnection) -> Mapping[str, float]:
    """Redemptions whose effect is still to come, and how long the oldest has waited."""
    row = (
        await connection.execute(
            text(
                "SELECT count(*) AS claimed, extract(epoch FROM clock_timestamp() - min(claimed_at)) AS oldest_s"
                " FROM redemptions WHERE state = 'claimed'"
            )
        )
    ).one()
    return {
        "redemptions_claimed": float(row.claimed),
        "redemptions_claimed_oldest_seconds": float(row.oldest_s or 0),
    }


ANSWERS: Mapping[type[Query], Answerer] = {ShowRedemption: show_redemption, ShowPromo: show_promo}
