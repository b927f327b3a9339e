"""What shoppers find, and that none of it is lost, sold twice or used too often."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from client.client import Client
from contracts.roles import Bonus, Multiply, PromoEffect
from tests.faults.stage import Stage
from tests.service.sites import kept_as, rows

_GOODS = (
    "SELECT item, stock, coalesce(sum(quantity) FILTER (WHERE state IN ('confirmed', 'completed')), 0)"
    " FROM items LEFT JOIN orders USING (item) WHERE item = ANY(:names) GROUP BY item, stock"
)
_USES = (
    "SELECT code_hash, uses, count(*) FILTER (WHERE state IN ('claimed', 'redeemed'))"
    " FROM codes LEFT JOIN redemptions USING (code_hash) WHERE code_hash = ANY(:hashes) GROUP BY code_hash, uses"
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
    """What a service keeps of an item or a code. `left`: of an item, its stock; of a code, its uses. `taken`: how many
    its orders have bought, or how many redemptions hold a use.
    """

    name: str
    left: int
    taken: int


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
    return [
        *lost_goods(items, [Kept(name, left, int(taken)) for name, left, taken in goods]),
        *wrong_uses(shop.codes, [Kept(hashes[code], left, taken) for code, left, taken in uses]),
    ]


def lost_goods(items: Iterable[Item], kept: Iterable[Kept]) -> Iterator[str]:
    """Items whose goods are neither with the service nor with whoever bought them, or are with both."""
    known = {each.name: each for each in kept}
    for item in items:
        found = known.get(item.name)
        if found is None or found.left < 0 or found.left + found.taken != item.stock:
            yield f"item {item}: found {found}"


def wrong_uses(codes: Iterable[Code], kept: Iterable[Kept]) -> Iterator[str]:
    """Codes whose uses are not those that are held, or are more than there may be."""
    known = {each.name: each for each in kept}
    for code in codes:
        found = known.get(code.name)
        if found is None or found.left != found.taken or found.left > (code.uses_max or found.left):
            yield f"code {code}: found {found}"
