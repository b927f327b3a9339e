"""`holdfast account`: opening, crediting and looking at accounts."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from client.pending import render_pending
from client.session import (
    REFUSED,
    AccountArgument,
    After,
    Failed,
    Json,
    OwnId,
    Timeout,
    connected,
    emit,
    handled,
    run,
    table,
)
from contracts.queries import AccountView, LedgerView

app = typer.Typer(no_args_is_help=True, help="Open, credit and look at accounts.")


@app.command("open")
def open_account(account: AccountArgument, timeout: Timeout = 10.0) -> None:
    """Open an account with no coins. Opening it again changes nothing."""

    async def work() -> None:
        async with connected() as client:
            await handled(client, await client.open_account(account), timeout)
        typer.echo(f"account {account} is open")

    run(work())


@app.command(context_settings={"ignore_unknown_options": True})
def credit(
    account: AccountArgument,
    amount: Annotated[int, typer.Argument(metavar="AMOUNT", help="Coins to add.")],
    own_id: OwnId = None,
    after: After = None,
    timeout: Timeout = 10.0,
) -> None:
    """Add coins to an account. Comes after nothing unless --after says so."""

    async def work() -> None:
        async with connected() as client:
            sent = await client.credit(account, amount, credit_id=own_id, after=after or None)
            await handled(client, sent, timeout)
            operation = await client.wait_for_operation(account, sent.id, timeout)
        if operation.state == "refused":
            raise Failed(f"credit {sent.id} refused: {_why(operation.reason, account)}", REFUSED)
        typer.echo(f"credit {sent.id} {operation.state}: {amount} coins")

    run(work())


@app.command()
def show(account: AccountArgument, as_json: Json = False) -> None:
    """Show the balance, what is surely available, and what every pending operation waits for."""

    async def work() -> None:
        async with connected() as client:
            view = await client.ask.account(account)
        if view is None:
            if as_json:
                typer.echo("null")
            raise Failed(_unknown(account), REFUSED)
        emit(view, as_json, lambda console: render_account(console, view))

    run(work())


@app.command()
def history(
    account: AccountArgument,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="Lines to show at most.")] = 50,
    as_json: Json = False,
) -> None:
    """Show what each operation did, the latest first."""

    async def work() -> None:
        async with connected() as client:
            lines = await client.ask.history(account, limit)
            if not lines and await client.ask.account(account) is None:
                if as_json:
                    typer.echo("null")
                raise Failed(_unknown(account), REFUSED)
        emit(lines, as_json, lambda console: render_history(console, lines))

    run(work())


def render_account(console: Console, view: AccountView) -> None:
    """The account as people read it."""
    console.print(f"account    {view.account_id}", f"balance    {view.balance}", sep="\n")
    console.print(f"available  {view.available}  (surely)", f"possible   {view.possible}  (at most)", sep="\n")
    render_pending(console, view.pending, view.pending_count, view.now)


def render_history(console: Console, lines: tuple[LedgerView, ...]) -> None:
    """The ledger as people read it."""
    rows = table("line", "at", "operation", "id", "answer", "before", "after", "cause")
    for line in lines:
        state = f"{line.state} ({line.reason})" if line.reason else line.state
        at = line.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        before, after = str(line.balance_before), str(line.balance_after)
        rows.add_row(str(line.seq), at, line.kind, str(line.operation_id), state, before, after, line.cause)
    console.print(rows)


def _why(reason: str | None, account: str) -> str:
    return _unknown(account) if reason == "unknown_account" else reason or "no reason given"


def _unknown(account: str) -> str:
    return f"account {account!r} is unknown; open it with `holdfast account open {account}`"
