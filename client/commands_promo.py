"""`holdfast promo`: setting and redeeming promo codes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer
from pydantic import TypeAdapter
from rich.console import Console

from client import codes
from client.client import Client
from client.errors import StillOpen
from client.pending import render_pending
from client.progress import redemption_progress
from client.session import (
    REFUSED,
    UNREACHABLE,
    USAGE,
    AccountArgument,
    After,
    Failed,
    Json,
    OwnId,
    Scarcity,
    Timeout,
    Wait,
    connected,
    emit,
    handled,
    run,
)
from client.timeline import effect
from client.waiting import redemption_ended
from contracts.base import Scarce
from contracts.commands import Moment
from contracts.queries import PromoView, RedemptionView
from contracts.roles import Bonus, Multiply, PromoEffect

app = typer.Typer(no_args_is_help=True, help="Set, redeem and look at promo codes.")

CodeArgument = Annotated[str, typer.Argument(metavar="CODE", help="The promo code.")]
MultiplyOption = Annotated[int | None, typer.Option("--multiply", help="Multiply the balance by this.")]
BonusOption = Annotated[int | None, typer.Option("--bonus", help="Add this many coins.")]
FromOption = Annotated[str | None, typer.Option("--from", help="Valid from this time on (ISO 8601).")]
UntilOption = Annotated[str | None, typer.Option("--until", help="Valid before this time (ISO 8601).")]
UsesMaxOption = Annotated[int | None, typer.Option("--uses-max", help="Uses over all accounts; no limit if left out.")]


@app.command(context_settings={"ignore_unknown_options": True})
def put(
    code: CodeArgument,
    multiply: MultiplyOption = None,
    bonus: BonusOption = None,
    valid_from: FromOption = None,
    valid_until: UntilOption = None,
    uses_max: UsesMaxOption = None,
    scarce: Scarcity = "wait",
    timeout: Timeout = 10.0,
) -> None:
    """Set what a code does; a new code is added. One that must not be guessed is made by `holdfast promo generate`."""
    run(_put(code, multiply, bonus, valid_from, valid_until, uses_max, scarce, timeout))


@app.command(context_settings={"ignore_unknown_options": True})
def generate(
    multiply: MultiplyOption = None,
    bonus: BonusOption = None,
    valid_from: FromOption = None,
    valid_until: UntilOption = None,
    uses_max: UsesMaxOption = None,
    scarce: Scarcity = "wait",
    timeout: Timeout = 10.0,
) -> None:
    """Make a code that nobody guesses, and set what it does. It is shown this once, and kept only as a hash."""
    run(_put(codes.generate(), multiply, bonus, valid_from, valid_until, uses_max, scarce, timeout))


@app.command()
def redeem(
    account: AccountArgument,
    code: CodeArgument,
    wait_at_most: Annotated[
        float | None,
        typer.Option(
            "--wait-at-most",
            help="Seconds for which the effect may wait for earlier orders; then it is withdrawn. Without it, "
            "redeeming is irrevocable: the effect is accepted at once, and what it surely adds can be spent.",
        ),
    ] = None,
    own_id: OwnId = None,
    after: After = None,
    wait: Wait = False,
    timeout: Timeout = 10.0,
    as_json: Json = False,
) -> None:
    """Redeem a code. Prints the redemption's id, its state, and what it waits for if it waits.

    Without --wait-at-most nothing withdraws it any more.
    """

    async def work() -> None:
        async with connected() as client:
            sent = await client.redeem_promo(
                account, code, wait_s=wait_at_most, redemption_id=own_id, after=after or None
            )
            await handled(client, sent, timeout)
            view = await _follow(client, sent.id, timeout, timeout if wait else None, as_json)
        if view.state == "refused":
            raise Failed(f"redemption {view.redemption_id} refused: {view.reason}", REFUSED)
        if wait and view.state != "redeemed":
            hint = f"see what for with `holdfast account show {account}`"
            raise Failed(f"redemption {view.redemption_id} still waits after {timeout:g} s; {hint}", UNREACHABLE)

    run(work())


@app.command()
def show(
    which: Annotated[str, typer.Argument(metavar="CODE|REDEMPTION", help="A promo code, or a redemption's id.")],
    wait: Wait = False,
    timeout: Timeout = 10.0,
    as_json: Json = False,
) -> None:
    """Show a code (as an operator) or a redemption, and what waits; with --wait, once the redemption has ended."""

    async def work() -> None:
        redemption_id = _uuid(which)
        async with connected(operator=redemption_id is None) as client:
            if redemption_id is None:
                promo = await client.ask.promo(which)
                if promo is None:
                    raise Failed(f"promo code {which!r} is unknown", REFUSED)
                emit(promo, as_json, lambda console: render_promo(console, which, promo))
                return
            view = await _follow(client, redemption_id, 0.0, timeout if wait else None, as_json)
        if wait and view.state in ("waiting", "claimed"):
            raise Failed(f"redemption {which} still waits after {timeout:g} s", UNREACHABLE)

    run(work())


async def _put(
    code: str,
    multiply: int | None,
    bonus: int | None,
    valid_from: str | None,
    valid_until: str | None,
    uses_max: int | None,
    scarce: Scarce,
    timeout_s: float,
) -> None:
    given = _effect(multiply, bonus)
    begin, end = _time("--from", valid_from), _time("--until", valid_until)
    if begin and end and begin >= end:
        raise Failed("--until: a time later than --from", USAGE)
    async with connected(operator=True) as client:
        sent = await client.put_promo(code, given, valid_from=begin, valid_until=end, uses_max=uses_max, scarce=scarce)
        await handled(client, sent, timeout_s)
    typer.echo(f"promo {code}: {effect(given)}")


async def _follow(
    client: Client, redemption_id: UUID, told_s: float, wait_s: float | None, as_json: bool
) -> RedemptionView:
    """Print the redemption, and what it waits for as soon as that is known, for which it is looked at for `told_s`
    seconds; with `wait_s`, also how it has ended when so many seconds are over.
    """
    view, waits_for = await redemption_progress(client.ask, redemption_id, told_s)
    if view is None:
        raise Failed(f"redemption {redemption_id} is unknown", REFUSED)
    if wait_s is not None and not redemption_ended(view):
        if waits_for and not as_json:
            _print(view, as_json, waits_for)
        view, waits_for = await _ended(client, view, wait_s), None
    _print(view, as_json, waits_for)
    return view


async def _ended(client: Client, view: RedemptionView, wait_s: float) -> RedemptionView:
    """The redemption, once it has ended or `wait_s` seconds are over."""
    try:
        return await client.wait_for_redemption(view.redemption_id, wait_s)
    except StillOpen as error:
        return error.view if isinstance(error.view, RedemptionView) else view


def _print(view: RedemptionView, as_json: bool, waits_for: str | None = None) -> None:
    words = f"redemption {view.redemption_id} {view.state}"
    if view.added is not None:
        words += f": {view.added} coins added"
    if view.reason:
        words += f" ({view.reason})"
    if waits_for:
        words += f": {waits_for}"
    emit(view, as_json, lambda console: console.print(words))


def render_promo(console: Console, code: str, promo: PromoView) -> None:
    """The code as people read it."""
    words = f"promo {code}: {effect(promo.effect)}, used {promo.uses}"
    words += f" of {promo.uses_max}" if promo.uses_max is not None else " times"
    words += f", from {promo.valid_from.astimezone():%Y-%m-%d %H:%M:%S}" if promo.valid_from else ""
    words += f", until {promo.valid_until.astimezone():%Y-%m-%d %H:%M:%S}" if promo.valid_until else ""
    console.print(f"{words}, scarce: {promo.scarce}")
    render_pending(console, promo.pending, promo.pending_count, promo.now)


def _effect(multiply: int | None, bonus: int | None) -> PromoEffect:
    if (multiply is None) == (bonus is None):
        raise Failed("--multiply, --bonus: give exactly one of them, such as --multiply 2 or --bonus 10", USAGE)
    if multiply is not None:
        return Multiply(factor=multiply)
    try:
        return Bonus.model_validate({"amount": bonus})
    except ValueError:
        raise Failed(f"--bonus: a whole number of coins, at least 1 (given: {bonus})", USAGE) from None


def _time(option: str, given: str | None) -> datetime | None:
    """A time with a zone; one that is given without is taken as local."""
    if given is None:
        return None
    try:
        return TypeAdapter[datetime](Moment).validate_python(datetime.fromisoformat(given).astimezone())
    except (ValueError, OverflowError):
        raise Failed(
            f"{option}: a time from 1970 to 9998, such as 2030-01-31T18:00Z (given: {given!r})",
            USAGE,
        ) from None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
