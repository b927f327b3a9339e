"""Keeping codes and redemptions: one load of all that a batch touches, locked in key order, and one save."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Row, String, Uuid, bindparam, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.roles import Bonus, Multiply, PromoEffect
from messaging.database import moment
from promo_service.promo import MISSES_S, Promo, Redemption
from promo_service.tables import MISSED, codes, puts, redemptions

_LOCK_REDEMPTIONS = text(
    "SELECT redemption_id, account_id, code_hash, state, reason, added, claimed_at, trace, kind, size, wait_until,"
    " after, asks, ask_again_at FROM redemptions WHERE redemption_id = ANY(:ids) ORDER BY redemption_id FOR UPDATE"
).bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_LOCK_CODES = text(
    "SELECT code_hash, kind, size, valid_from, valid_until, uses_max, uses FROM codes"
    " WHERE code_hash = ANY(:hashes) ORDER BY code_hash FOR UPDATE"
).bindparams(bindparam("hashes", type_=ARRAY(String)))
_HOLDERS = text(
    "SELECT r.code_hash, r.account_id, r.redemption_id"
    " FROM unnest(:of_codes, :of_accounts) AS wanted (code_hash, account_id)"
    " JOIN redemptions r USING (code_hash, account_id) WHERE r.state <> 'refused'"
).bindparams(bindparam("of_codes", type_=ARRAY(String)), bindparam("of_accounts", type_=ARRAY(String)))
_MISSES = text(
    "SELECT account_id, count(*) AS misses FROM redemptions"  # noqa: S608
    f" WHERE account_id = ANY(:accounts) AND {MISSED} AND claimed_at > :since GROUP BY account_id"
).bindparams(bindparam("accounts", type_=ARRAY(String)), bindparam("since", type_=DateTime(timezone=True)))
_KNOWN_PUTS = text("SELECT message_id FROM puts WHERE message_id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)


@dataclass
class Promos:
    """The codes and redemptions that a batch touches: as loaded, and as they are now.

    `holders`: which redemption holds an account's one use of a code. `misses`: codes of an account that were not
    accepted in the last hour. `puts`: the messages of the batch that have put a code, before or in it.
    """

    loaded_redemptions: dict[UUID, Redemption]
    loaded_codes: dict[str, Promo]
    redemptions: dict[UUID, Redemption]
    codes: dict[str, Promo]
    holders: dict[tuple[str, str], UUID]
    misses: dict[str, int] = field(default_factory=dict)
    loaded_puts: frozenset[UUID] = frozenset()
    puts: set[UUID] = field(default_factory=set)


async def load(
    connection: AsyncConnection,
    redemption_ids: Collection[UUID],
    hashes: Collection[str],
    uses: Collection[tuple[str, str]],
    put_ids: Collection[UUID],
    now: datetime,
) -> Promos:
    """Lock these redemptions and codes, and the codes of these redemptions; `uses` are pairs of code and account.
    Find which of these puts are known.

    The statements are the same for codes that are known and for others.
    """
    rows = await connection.execute(_LOCK_REDEMPTIONS, {"ids": sorted(redemption_ids)})
    found = {row.redemption_id: _redemption(row) for row in rows}
    wanted = sorted({*hashes, *(each.code_hash for each in found.values())})
    known: dict[str, Promo] = {}
    holders: dict[tuple[str, str], UUID] = {}
    misses: dict[str, int] = {}
    if wanted:
        known = {row.code_hash: promo(row) for row in await connection.execute(_LOCK_CODES, {"hashes": wanted})}
    if uses:
        pairs = sorted(set(uses))
        rows = await connection.execute(
            _HOLDERS, {"of_codes": [code for code, _ in pairs], "of_accounts": [account for _, account in pairs]}
        )
        holders = {(row.code_hash, row.account_id): row.redemption_id for row in rows}
        since = now - timedelta(seconds=MISSES_S)
        accounts = sorted({account for _, account in pairs})
        rows = await connection.execute(_MISSES, {"accounts": accounts, "since": since})
        misses = {row.account_id: row.misses for row in rows}
    known_puts: frozenset[UUID] = frozenset()
    if put_ids:
        known_puts = frozenset((await connection.execute(_KNOWN_PUTS, {"ids": sorted(put_ids)})).scalars())
    return Promos(found, known, dict(found), dict(known), holders, misses, known_puts, set(known_puts))


async def save(connection: AsyncConnection, state: Promos) -> None:
    """Keep what changed. Refusals first, so that a use given back is free for the next one.

    What had no row that could be locked is inserted, and nothing else: if another process inserted it meanwhile, the
    unique key says so, and the batch is decided again on what that one did.
    """
    if put := [{"message_id": each} for each in sorted(state.puts - state.loaded_puts)]:
        await connection.execute(insert(puts), put)
    changed = [each for key, each in state.redemptions.items() if state.loaded_redemptions.get(key) is not each]
    changed.sort(key=lambda each: each.state != "refused")
    priced = [each for key, each in state.codes.items() if state.loaded_codes.get(key) is not each]
    if kept := [_redemption_row(each) for each in changed if each.id in state.loaded_redemptions]:
        await connection.execute(_KEEP_REDEMPTIONS, kept)
    if added := [_redemption_row(each) for each in changed if each.id not in state.loaded_redemptions]:
        await connection.execute(insert(redemptions), added)
    if kept := [_code_row(each) for each in priced if each.code_hash in state.loaded_codes]:
        await connection.execute(_KEEP_CODES, kept)
    if added := [_code_row(each) for each in priced if each.code_hash not in state.loaded_codes]:
        await connection.execute(insert(codes), added)


async def unanswered(connection: AsyncConnection, limit: int) -> list[UUID]:
    """Redemptions about which the user service is to be asked again, the longest overdue first."""
    rows = await connection.execute(
        select(redemptions.c.redemption_id)
        .where(redemptions.c.ask_again_at <= moment())
        .order_by(redemptions.c.ask_again_at, redemptions.c.redemption_id)
        .limit(limit)
    )
    return list(rows.scalars())


def promo(row: Row[Any]) -> Promo:
    """The promo code that a row keeps."""
    return Promo(row.code_hash, _effect(row), row.valid_from, row.valid_until, row.uses_max, row.uses)


def _effect(row: Row[Any]) -> PromoEffect:
    return Multiply(factor=row.size) if row.kind == "multiply" else Bonus(amount=row.size)


def _effect_row(effect: PromoEffect) -> dict[str, Any]:
    return {"kind": effect.kind, "size": effect.factor if isinstance(effect, Multiply) else effect.amount}


def _redemption(row: Row[Any]) -> Redemption:
    return Redemption(
        row.redemption_id,
        row.account_id,
        row.code_hash,
        row.state,
        row.reason,
        row.added,
        row.claimed_at,
        row.trace,
        _effect(row) if row.kind else None,
        row.wait_until,
        tuple(row.after or ()),
        row.asks,
        row.ask_again_at,
    )


def _redemption_row(kept: Redemption) -> dict[str, Any]:
    values = {each.name: getattr(kept, each.name) for each in fields(kept) if each.name != "effect"}
    effect = _effect_row(kept.effect) if kept.effect else {"kind": None, "size": None}
    return {"redemption_id": values.pop("id"), **values, **effect, "after": list(kept.after) or None}


def _code_row(kept: Promo) -> dict[str, Any]:
    return {
        "code_hash": kept.code_hash,
        **_effect_row(kept.effect),
        "valid_from": kept.valid_from,
        "valid_until": kept.valid_until,
        "uses_max": kept.uses_max,
        "uses": kept.uses,
    }


_INSERT_REDEMPTION = insert(redemptions)
_KEEP_REDEMPTIONS = _INSERT_REDEMPTION.on_conflict_do_update(
    index_elements=["redemption_id"],
    set_={
        name: _INSERT_REDEMPTION.excluded[name]
        for name in ("state", "reason", "added", "after", "asks", "ask_again_at")
    },
)
_INSERT_CODE = insert(codes)
_KEEP_CODES = _INSERT_CODE.on_conflict_do_update(
    index_elements=["code_hash"],
    set_={
        name: _INSERT_CODE.excluded[name] for name in ("kind", "size", "valid_from", "valid_until", "uses_max", "uses")
    },
)
