"""What shoppers find, and that none of it is lost, sold twice or used too often."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from client.client import Client
from contracts.roles import Bonus, Multiply, PromoEffect
from tests.faults.stage import Stage
from tests.service.sites import kept_as, rows

_GOODS = (
    "SELECT item, pieces, CAST(coalesce(sum(quantity) FILTER (WHERE state = 'completed'), 0) AS bigint),"
    " min(quantity) FILTER (WHERE state = 'failed' AND reason = 'out_of_stock')"
    " FROM stock LEFT JOIN orders USING (item) WHERE item = ANY(:names) GROUP BY item, pieces"
)
_USES = (
    "SELECT code_hash, coalesce(count, 0), count(*) FILTER (WHERE state = 'redeemed'),"
    " min(1) FILTER (WHERE state = 'refused' AND reason = 'used_up')"
    " FROM codes LEFT JOIN uses ON use_of = code_hash LEFT JOIN redemptions USING (code_hash)"
    " WHERE code_hash = ANY(:hashes) GROUP BY code_hash, count"
)
_TWICE = (
    "SELECT account_id, code_hash, coalesce(count, 0) AS uses, count(*) FILTER (WHERE state = 'redeemed') AS redeemed,"
    " count(*) FILTER (WHERE reason = 'already_redeemed') AS refused"
    " FROM redemptions LEFT JOIN uses ON use_of = code_hash || '/' || account_id"
    " WHERE code_hash = ANY(:hashes) GROUP BY account_id, code_hash, count"
)


@dataclass(frozen=True, slots=True)
class Item:
    """Goods. `price` in coins. `stock`: how many there were at first, None for what is made to order."""

    name: str
    price: int
    stock: int | None


@dataclass(frozen=True, slots=True)
class Code:
    """A promo code. `uses_max`: over all accounts, None without a limit."""

    name: str
    effect: PromoEffect
    uses_max: int | None = None


@dataclass(frozen=True, slots=True)
class Shop:
    """An item that never sells out, one that does, one that is made to order, and codes. The first code doubles, and
    can be used without end.
    """

    plenty: Item
    scarce: Item
    to_order: Item
    codes: tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a service keeps of an item or a code at rest. `left`: of an item, its stock; of a code, its uses. `taken`:
    how many its orders have bought, or redemptions have used. `refused`: the fewest pieces or uses that somebody was
    told there were none for, if anybody was.
    """

    name: str
    left: int
    taken: int
    refused: int | None = None


async def fill(operator: Client, name: str) -> Shop:
    """Put everything, under names that begin with `name`; returns once the services have handled it."""
    shop = Shop(
        Item(f"{name}-plenty", 7, 1_000_000),
        Item(f"{name}-scarce", 5, 6),
        Item(f"{name}-to-order", 11, None),
        (
            Code(f"{name}-double", Multiply(factor=2)),
            Code(f"{name}-triple", Multiply(factor=3)),
            Code(f"{name}-bonus", Bonus(amount=13)),
            Code(f"{name}-few", Bonus(amount=5), uses_max=5),
        ),
    )
    puts = [
        await operator.put_item(shop.plenty.name, shop.plenty.price, shop.plenty.stock or 0),
        await operator.put_item(shop.scarce.name, shop.scarce.price, shop.scarce.stock or 0),
        await operator.put_item(shop.to_order.name, shop.to_order.price, fulfilment="external"),
        *[await operator.put_promo(each.name, each.effect, uses_max=each.uses_max) for each in shop.codes],
    ]
    for put in puts:
        await operator.outcome(put)
    return shop


async def miscounted(stage: Stage, shop: Shop) -> list[str]:
    """What is wrong with the goods and the uses of codes of a shop at rest."""
    items = [each for each in (shop.plenty, shop.scarce, shop.to_order) if each.stock is not None]
    goods = await rows(stage.site, "order_service", _GOODS, names=[each.name for each in items])
    hashes = {kept_as(stage.site, each.name): each.name for each in shop.codes}
    uses = await rows(stage.site, "promo_service", _USES, hashes=list(hashes))
    twice = await rows(stage.site, "promo_service", _TWICE, hashes=list(hashes))
    return [
        *lost_goods(items, [Kept(*each) for each in goods]),
        *wrong_uses(shop.codes, [Kept(hashes[code], *each) for code, *each in uses]),
        *(
            f"code {hashes[code]}, account {account}: {used} uses, {redeemed} redeemed, {refused} refused for them"
            for account, code, used, redeemed, refused in twice
            if used != redeemed or redeemed > 1 or (refused and not redeemed)
        ),
    ]


def lost_goods(items: Iterable[Item], kept: Iterable[Kept]) -> Iterator[str]:
    """Items whose goods are neither with the service nor with whoever bought them, or are with both, or of which there
    are enough left for somebody who was told that there are not.
    """
    known = {each.name: each for each in kept}
    for item in items:
        found = known.get(item.name)
        if found is None or found.left < 0 or found.left + found.taken != item.stock:
            yield f"item {item}: found {found}"
        elif found.refused and found.refused <= found.left:
            yield f"item {item}: {found.refused} were refused, and {found.left} are left"


def wrong_uses(codes: Iterable[Code], kept: Iterable[Kept]) -> Iterator[str]:
    """Codes whose uses are not those of redemptions, or are more than there may be, or fewer although somebody was told
    that there is none.
    """
    known = {each.name: each for each in kept}
    for code in codes:
        found = known.get(code.name)
        if found is None or found.left != found.taken or found.left > (code.uses_max or found.left):
            yield f"code {code}: found {found}"
        elif found.refused and found.left < (code.uses_max or found.left + 1):
            yield f"code {code}: a use was refused, and only {found.left} are used"
