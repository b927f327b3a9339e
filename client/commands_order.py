"""`holdfast order`, `catalog` and `fulfilment`: buying, what can be bought, and who hands it over."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console

from client.client import Client
from client.errors import StillOpen
from client.pending import render_pending
from client.progress import order_progress
from client.session import (
    REFUSED,
    UNREACHABLE,
    AccountArgument,
    After,
    Failed,
    Json,
    OrderArgument,
    OwnId,
    Scarcity,
    Timeout,
    Wait,
    connected,
    emit,
    handled,
    run,
    table,
)
from client.timeline import availability
from client.waiting import order_ended
from contracts.queries import ItemView, OrderView

order = typer.Typer(no_args_is_help=True, help="Place, cancel and look at orders.")
catalog = typer.Typer(no_args_is_help=True, help="Set and list what can be bought.")
fulfilment = typer.Typer(no_args_is_help=True, help="Answer for the goods of orders that are fulfilled externally.")

ItemArgument = Annotated[str, typer.Argument(metavar="ITEM", help="The catalog's name of the goods.")]


@order.command()
def place(
    account: AccountArgument,
    item: ItemArgument,
    quantity: Annotated[int, typer.Option("--quantity", "-q", help="How many.")] = 1,
    deadline: Annotated[float | None, typer.Option("--deadline", help="Seconds until it fails by itself.")] = None,
    own_id: OwnId = None,
    after: After = None,
    wait: Wait = False,
    timeout: Timeout = 10.0,
    as_json: Json = False,
) -> None:
    """Buy something. Prints the order's id, its state, and what it waits for if it waits."""

    async def work() -> None:
        async with connected() as client:
            sent = await client.place_order(
                account, item, quantity, deadline_s=deadline, order_id=own_id, after=after or None
            )
            await handled(client, sent, timeout)
            view = await _follow(client, sent.id, timeout, timeout if wait else None, as_json)
        if view.state in ("failed", "cancelled"):
            raise Failed(f"order {view.order_id} {view.state}: {view.reason or 'cancelled'}", REFUSED)
        if wait and view.state != "completed":
            raise Failed(f"order {view.order_id} is still {view.state} after {timeout:g} s", UNREACHABLE)

    run(work())


@order.command()
def cancel(
    order_id: OrderArgument,
    account: Annotated[
        str | None, typer.Option("--account", help="Its account, if it may not have arrived yet.")
    ] = None,
    timeout: Timeout = 10.0,
    as_json: Json = False,
) -> None:
    """Cancel an order that is not confirmed yet."""

    async def work() -> None:
        async with connected() as client:
            known = await client.ask.order(order_id)
            owner = account or (known.account_id if known else None)
            if owner is None:
                raise Failed(f"order {order_id} is unknown; if it is still on its way, name its owner with --account")
            await handled(client, await client.cancel_order(owner, order_id), timeout)
            view = await _order(client, order_id, None)
        _print(view, as_json)
        if view.state != "cancelled":
            raise Failed(f"order {order_id} is {view.state} and can no longer be cancelled", REFUSED)

    run(work())


@order.command()
def show(order_id: OrderArgument, wait: Wait = False, timeout: Timeout = 10.0, as_json: Json = False) -> None:
    """Show an order, and what it waits for if it waits; with --wait, once it has ended."""

    async def work() -> None:
        async with connected() as client:
            view = await _follow(client, order_id, 0.0, timeout if wait else None, as_json)
        if wait and view.state not in ("completed", "failed", "cancelled"):
            raise Failed(f"order {order_id} is still {view.state} after {timeout:g} s", UNREACHABLE)

    run(work())


@catalog.command("put", context_settings={"ignore_unknown_options": True})
def put_item(
    item: ItemArgument,
    price: Annotated[int, typer.Option("--price", help="Coins for one.")],
    stock: Annotated[
        int | None,
        typer.Option("--stock", help="How many there are. External items without it are not counted, others are none."),
    ] = None,
    external: Annotated[bool, typer.Option("--external", help="Somebody outside answers for the goods.")] = False,
    scarce: Scarcity = "wait",
    timeout: Timeout = 10.0,
) -> None:
    """Set an item's price, stock and fulfilment; a new item is added."""

    async def work() -> None:
        async with connected(operator=True) as client:
            sent = await client.put_item(item, price, stock, "external" if external else "instant", scarce=scarce)
            await handled(client, sent, timeout)
        typer.echo(f"item {item}: {price} coins, {availability(stock, external)}")

    run(work())


@catalog.command("show")
def show_item(item: ItemArgument, as_json: Json = False) -> None:
    """Show an item, and what every order that has or wants its pieces waits for."""

    async def work() -> None:
        async with connected() as client:
            view = await client.ask.item(item)
        if view is None:
            if as_json:
                typer.echo("null")
            raise Failed(f"item {item!r} is unknown; see `holdfast catalog list`", REFUSED)
        emit(view, as_json, lambda console: render_item(console, view))

    run(work())


@catalog.command("list")
def list_items(as_json: Json = False) -> None:
    """List the catalog."""

    async def work() -> None:
        async with connected() as client:
            items = await client.ask.catalog()
        rows = table("item", "price", "stock", "fulfilment", "scarce")
        for each in items:
            stock = "-" if each.stock is None else str(each.stock)
            rows.add_row(each.item, str(each.price), stock, each.fulfilment, each.scarce)
        emit(items, as_json, lambda console: console.print(rows if items else "the catalog is empty"))

    run(work())


@fulfilment.command()
def accept(order_id: OrderArgument, timeout: Timeout = 10.0) -> None:
    """Say that the goods of an order are there."""
    run(_fulfil(order_id, None, timeout))


@fulfilment.command()
def reject(
    order_id: OrderArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "rejected",
    timeout: Timeout = 10.0,
) -> None:
    """Say that an order cannot be fulfilled."""
    run(_fulfil(order_id, reason, timeout))


def render_item(console: Console, view: ItemView) -> None:
    """The item as people read it."""
    console.print(f"item       {view.item}", f"price      {view.price}", sep="\n")
    console.print(f"fulfilment {view.fulfilment}", f"scarce     {view.scarce}", sep="\n")
    if view.stock is None:
        console.print("stock      not counted here")
    else:
        console.print(f"stock      {view.stock}  (surely)", f"possible   {view.possible}  (at most)", sep="\n")
    render_pending(console, view.pending, view.pending_count, view.now)


async def _fulfil(order_id: UUID, reason: str | None, wait_s: float) -> None:
    """Accept, or reject for a reason."""
    async with connected(operator=True) as client:
        if await client.ask.order(order_id) is None:
            raise Failed(f"order {order_id} is unknown", REFUSED)
        if reason is None:
            sent = await client.accept_fulfilment(order_id)
        else:
            sent = await client.reject_fulfilment(order_id, reason)
        await handled(client, sent, wait_s)
        view = await _order(client, order_id, wait_s)
    _print(view, False)
    if not order_ended(view):
        what = "its acceptance counts once coins and pieces are there" if reason is None else "ask again"
        raise Failed(f"order {order_id} is still {view.state} after {wait_s:g} s; {what}", UNREACHABLE)
    if view.state != ("completed" if reason is None else "failed"):
        raise Failed(f"order {order_id} is {view.state}: {view.reason or 'the answer came too late'}", REFUSED)


async def _follow(client: Client, order_id: UUID, told_s: float, wait_s: float | None, as_json: bool) -> OrderView:
    """Print the order, and what it waits for as soon as that is known, for which it is looked at for `told_s` seconds;
    with `wait_s`, also how it has ended when so many seconds are over.
    """
    view, waits_for = await order_progress(client.ask, order_id, told_s)
    if view is None:
        raise Failed(f"order {order_id} is unknown", REFUSED)
    if wait_s is not None and not order_ended(view):
        if waits_for and not as_json:
            _print(view, as_json, waits_for)
        view, waits_for = await _order(client, order_id, wait_s), None
    _print(view, as_json, waits_for)
    return view


async def _order(client: Client, order_id: UUID, wait_s: float | None) -> OrderView:
    """The order, once it has ended or `wait_s` seconds are over."""
    view: OrderView | None
    try:
        view = await (client.ask.order(order_id) if wait_s is None else client.wait_for_order(order_id, wait_s))
    except StillOpen as error:
        view = error.view if isinstance(error.view, OrderView) else None
    if view is None:
        raise Failed(f"order {order_id} is unknown", REFUSED)
    return view


def _print(view: OrderView, as_json: bool, waits_for: str | None = None) -> None:
    words = [f"order {view.order_id} {view.state}"]
    if view.reason:
        words.append(f"({view.reason})")
    if view.item:
        words.append(f"{view.quantity} x {view.item}")
    if view.amount:
        words.append(f"for {view.amount} coins")
    if view.deadline:
        words.append(f"until {view.deadline.astimezone():%H:%M:%S}")
    said = " ".join(words) + (f": {waits_for}" if waits_for else "")
    emit(view, as_json, lambda console: console.print(said))
