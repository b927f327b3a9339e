"""Keeping codes, redemptions and uses: one load of all that a batch touches, locked in one order, and one save."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Row, String, Uuid, bindparam, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.roles import Bonus, Multiply, PromoEffect
from holdfast.delivery.database import moment
from holdfast.entities.entities import Entities, Keeper
from promo_service.kinds import KINDS
from promo_service.redemption import MISSES_S, Promo, Redemption
from promo_service.tables import MISSED, codes, puts, redemptions, uses
from promo_service.uses import key_of

_LOCK_CODES = text(
    "SELECT code_hash, kind, size, valid_from, valid_until, uses_max, scarce FROM codes WHERE code_hash ="
    " ANY(:hashes || ARRAY(SELECT code_hash FROM redemptions WHERE redemption_id = ANY(:ids)))"
    " ORDER BY code_hash FOR UPDATE"
).bindparams(bindparam("hashes", type_=ARRAY(String)), bindparam("ids", type_=ARRAY(Uuid)))
_COLUMNS = (
    "redemption_id, account_id, code_hash, state, reason, added, claimed_at, trace, kind, size, wait_until, after,"
    " asks, ask_again_at, uses_max, scarce, revocable, awaits"
)
_LOCK_REDEMPTIONS = text(
    f"SELECT {_COLUMNS} FROM redemptions WHERE redemption_id = ANY(:ids)"  # noqa: S608
    " OR (awaits = 'code' AND code_hash = ANY(:hashes)) ORDER BY redemption_id FOR UPDATE"
).bindparams(bindparam("hashes", type_=ARRAY(String)), bindparam("ids", type_=ARRAY(Uuid)))
_LOCK_AWAITING = text(
    f"SELECT {_COLUMNS} FROM redemptions WHERE awaits = 'account' AND (code_hash, account_id) IN"  # noqa: S608
    " (SELECT * FROM unnest(:of_codes, :of_accounts)) ORDER BY redemption_id FOR UPDATE"
).bindparams(bindparam("of_codes", type_=ARRAY(String)), bindparam("of_accounts", type_=ARRAY(String)))
_MISSES = text(
    "SELECT account_id, count(*) AS misses FROM redemptions"  # noqa: S608
    f" WHERE account_id = ANY(:accounts) AND {MISSED} AND claimed_at > :since GROUP BY account_id"
).bindparams(bindparam("accounts", type_=ARRAY(String)), bindparam("since", type_=DateTime(timezone=True)))
_KNOWN_PUTS = text("SELECT message_id FROM puts WHERE message_id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)


def keeper() -> Keeper:
    """A keeper of uses; it remembers those with many pending claims from batch to batch."""
    return Keeper(uses, KINDS)


@dataclass
class Promos:
    """The codes, redemptions and uses that a batch touches: as loaded, and as they are now.

    `misses`: codes of an account that were not accepted in the last hour. `puts`: the messages of the batch that have
    put a code, before or in it.
    """

    loaded_redemptions: Mapping[UUID, Redemption]
    loaded_codes: Mapping[str, Promo]
    redemptions: dict[UUID, Redemption]
    codes: dict[str, Promo]
    uses: Entities
    misses: dict[str, int] = field(default_factory=dict)
    loaded_puts: frozenset[UUID] = frozenset()
    puts: set[UUID] = field(default_factory=set)


@dataclass
class Touched:
    """What the messages of a batch are about. `pairs` of code and account: they are redeemed, or their wait is over."""

    redemptions: set[UUID] = field(default_factory=set)
    hashes: set[str] = field(default_factory=set)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    puts: set[UUID] = field(default_factory=set)


async def load(connection: AsyncConnection, touched: Touched, uses: Keeper, now: datetime) -> Promos:
    """Lock what the messages are about, and all that may be decided with it: the codes, the redemptions that wait for
    one of a code's uses, those that wait for their accounts' and the messages' accounts' use, and these uses.

    The statements are the same for codes that are known and for others. The code comes first: whoever has its lock is
    alone with its redemptions and uses, so that the others can be locked as they are found.
    """
    if not (touched.redemptions or touched.hashes):
        return Promos({}, {}, {}, {}, Entities({}, set()))
    ids = sorted(touched.redemptions)
    rows = await connection.execute(_LOCK_CODES, {"hashes": sorted(touched.hashes), "ids": ids})
    known = {row.code_hash: promo(row) for row in rows}
    hashes = sorted(touched.hashes | known.keys())
    found = _redemptions(await connection.execute(_LOCK_REDEMPTIONS, {"ids": ids, "hashes": hashes}))
    is_open = [each for each in found.values() if each.state in ("waiting", "claimed")]
    pairs = sorted(touched.pairs | {(each.code_hash, each.account_id) for each in is_open})
    misses: dict[str, int] = {}
    if pairs:
        of = {"of_codes": [code for code, _ in pairs], "of_accounts": [account for _, account in pairs]}
        found |= _redemptions(await connection.execute(_LOCK_AWAITING, of))
    if touched.pairs:
        misses = await _misses(connection, sorted({account for _, account in touched.pairs}), now)
    keys = {*hashes, *(key_of("account", *pair) for pair in pairs)}
    entities = await uses.load(connection, {(key, None) for key in keys})
    known_puts: frozenset[UUID] = frozenset()
    if touched.puts:
        put = await connection.execute(_KNOWN_PUTS, {"ids": sorted(touched.puts)})
        known_puts = frozenset(put.scalars())
    return Promos(found, known, dict(found), dict(known), entities, misses, known_puts, set(known_puts))


async def _misses(connection: AsyncConnection, accounts: Sequence[str], now: datetime) -> dict[str, int]:
    since = now - timedelta(seconds=MISSES_S)
    rows = await connection.execute(_MISSES, {"accounts": accounts, "since": since})
    return {row.account_id: row.misses for row in rows}


async def save(connection: AsyncConnection, state: Promos, uses: Keeper) -> None:
    """Keep what changed.

    What had no row that could be locked is inserted, and nothing else: if another process inserted it meanwhile, the
    unique key says so, and the batch is decided again on what that one did.
    """
    await uses.save(connection, state.uses)
    if put := [{"message_id": each} for each in sorted(state.puts - state.loaded_puts)]:
        await connection.execute(insert(puts), put)
    changed = [each for key, each in state.redemptions.items() if state.loaded_redemptions.get(key) is not each]
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
    return Promo(row.code_hash, _effect(row), row.valid_from, row.valid_until, row.uses_max, row.scarce)


def _effect(row: Row[Any]) -> PromoEffect:
    return Multiply(factor=row.size) if row.kind == "multiply" else Bonus(amount=row.size)


def _effect_row(effect: PromoEffect) -> dict[str, Any]:
    return {"kind": effect.kind, "size": effect.size}


def _redemptions(rows: Iterable[Row[Any]]) -> dict[UUID, Redemption]:
    return {row.redemption_id: _redemption(row) for row in rows}


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
        row.uses_max,
        row.scarce,
        row.revocable,
        row.awaits,
    )


_REDEMPTION_FIELDS = [each.name for each in fields(Redemption) if each.name != "effect"]


def _redemption_row(kept: Redemption) -> dict[str, Any]:
    values = {name: getattr(kept, name) for name in _REDEMPTION_FIELDS}
    effect = _effect_row(kept.effect) if kept.effect else {"kind": None, "size": None}
    return {"redemption_id": values.pop("id"), **values, **effect, "after": list(kept.after) or None}


def _code_row(kept: Promo) -> dict[str, Any]:
    return {
        "code_hash": kept.code_hash,
        **_effect_row(kept.effect),
        "valid_from": kept.valid_from,
        "valid_until": kept.valid_until,
        "uses_max": kept.uses_max,
        "scarce": kept.scarce,
    }


_INSERT_REDEMPTION = insert(redemptions)
_KEEP_REDEMPTIONS = _INSERT_REDEMPTION.on_conflict_do_update(
    index_elements=["redemption_id"],
    set_={
        name: _INSERT_REDEMPTION.excluded[name]
        for name in ("state", "reason", "added", "after", "asks", "ask_again_at", "awaits")
    },
)
_INSERT_CODE = insert(codes)
_KEEP_CODES = _INSERT_CODE.on_conflict_do_update(
    index_elements=["code_hash"],
    set_={
        name: _INSERT_CODE.excluded[name]
        for name in ("kind", "size", "valid_from", "valid_until", "uses_max", "scarce")
    },
)
