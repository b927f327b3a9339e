"""What the promo service answers when it is asked, and the figures it shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.queries import PromoView, RedemptionView, ShowPromo, ShowRedemption
from holdfast.delivery.domain import Answerer
from holdfast.delivery.queries import Query
from holdfast.delivery.words import Contract
from holdfast.entities.views import pending, pending_gauges
from promo_service import store
from promo_service.codes import code_hash
from promo_service.redemption import told
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
        state=row.state,
        reason=told(row.reason) if row.reason else None,
        added=row.added,
    )


async def show_promo(connection: AsyncConnection, query: Query, code_key: bytes) -> Contract | None:
    """One promo code and its uses as of now: waits that are overdue have ended."""
    assert isinstance(query, ShowPromo)
    named = code_hash(code_key, query.code)
    row = (
        await connection.execute(select(codes, func.clock_timestamp().label("now")).where(codes.c.code_hash == named))
    ).first()
    if row is None:
        return None
    promo = store.promo(row)
    uses = (await store.keeper().load(connection, {(named, None)}, lock=False)).at[named]
    uses.pass_time(row.now)
    return PromoView(
        effect=promo.effect,
        valid_from=promo.valid_from,
        valid_until=promo.valid_until,
        uses_max=promo.uses_max,
        uses=uses.bounds[1] if uses.bounds else uses.state,
        scarce=promo.scarce,
        pending=pending(uses),
        pending_count=len(uses),
        now=row.now,
    )


async def gauges(connection: AsyncConnection) -> Mapping[str, float]:
    """Redemptions whose effect is still to come, how long the oldest has waited, and what is pending on uses."""
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
        **await pending_gauges(connection),
    }


def answers(code_key: bytes) -> Mapping[type[Query], Answerer]:
    """What is answered by which; `code_key` as in the settings."""
    return {ShowRedemption: show_redemption, ShowPromo: partial(show_promo, code_key=code_key)}
