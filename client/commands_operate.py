"""`holdfast status`, `audit`, `dead`, `watch`: how the system is doing, and what it says."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer
from pydantic_core import from_json, to_json
from rich.console import Console
from rich.text import Text

from client import dead as letters
from client.audit import Report, audit
from client.client import Client
from client.errors import QueryRefused, Unreachable
from client.session import REFUSED, UNREACHABLE, USAGE, Failed, Json, as_written, connected, emit, printable, run, table
from client.settings import Settings
from client.tap import Follower, Seen, tap
from client.timeline import line, short
from contracts.topology import SERVICES
from holdfast.delivery.queries import StatusView
from holdfast.delivery.words import Service

dead = typer.Typer(no_args_is_help=True, help="List, show and replay what no service could handle.")

ANSWER_S_MAX = 3.0


def status(as_json: Json = False) -> None:
    """Show how each service is doing."""

    async def work() -> None:
        async with connected() as client:
            found = dict(
                zip(SERVICES, await asyncio.gather(*(_status(client, each) for each in SERVICES)), strict=True)
            )
        rows = table("service", "health", "url", "outbox", "parked", "waiting", "in flight", "problems")
        for service, view in found.items():
            if isinstance(view, StatusView):
                health = Text("healthy", "green") if view.healthy else Text("unhealthy", "red")
                outbox, problems = f"{view.outbox_rows} ({view.outbox_oldest_s:.1f} s)", "; ".join(view.problems)
                waiting, in_flight = _open(view)
                rows.add_row(service, health, view.url, outbox, str(view.parked), waiting, in_flight, problems)
            else:
                rows.add_row(service, Text("no answer", "red"), "", "", "", "", "", view)
        data = [view if isinstance(view, StatusView) else {"service": s, "problem": view} for s, view in found.items()]
        emit(data, as_json, lambda console: console.print(rows))
        if not all(isinstance(view, StatusView) and view.healthy for view in found.values()):
            raise typer.Exit(REFUSED)

    run(work())


def audit_command(as_json: Json = False) -> None:
    """Check every account, order and redemption against what one program would have done."""

    async def work() -> None:
        settings = Settings.read()
        report = await audit(settings.required("audit_database_url"), settings.tls_ca_file)
        emit(asdict(report), as_json, lambda console: render_audit(console, report))
        if report.findings:
            raise typer.Exit(REFUSED)

    run(work())


def watch(
    account: Annotated[str | None, typer.Argument(metavar="[ACCOUNT]", help="Only this account.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Print commands and events as they happen, until Ctrl-C."""

    async def work() -> None:
        console, began_s, follower = Console(), asyncio.get_running_loop().time(), Follower(account)
        async with connected(operator=True) as client, tap(client.connection) as passing:
            while (seen := await passing.get()) is not None:
                of = follower.account_of(seen)
                if of and as_json:
                    typer.echo(to_json(_plain(seen, of)).decode())
                elif of:
                    console.print(line(seen.at_s - began_s, of, seen.fact), soft_wrap=True)
        raise Failed("the connection to the broker was lost", UNREACHABLE)

    run(work())


@dead.command("list")
def list_letters(as_json: Json = False) -> None:
    """List dead letters with their reasons."""

    async def work() -> None:
        async with connected(operator=True) as client:
            found = await letters.letters(client.connection)
        rows = table("n", "service", "type", "id", "account", "at", "reason")
        for number, each in enumerate(found, start=1):
            at = each.at.astimezone().strftime("%m-%d %H:%M:%S") if each.at else "-"
            said = map(as_written, (each.type, short(each.id), each.account, at, each.reason))
            rows.add_row(str(number), each.service or "-", *said)
        emit(
            [{"n": number, **_letter(each)} for number, each in enumerate(found, start=1)],
            as_json,
            lambda console: console.print(rows if found else "no dead letters"),
        )

    run(work())


@dead.command("show")
def show_letter(
    which: Annotated[str, typer.Argument(metavar="N", help="Its number in the list, or its key.")],
    as_json: Json = False,
) -> None:
    """Show a dead letter with its content."""

    async def work() -> None:
        async with connected(operator=True) as client:
            found = _pick(await letters.letters(client.connection), [which])[0]
        content = {**_letter(found), "content_type": found.content_type, "body": _body(found)}
        emit(content, as_json, lambda console: console.print_json(to_json(content).decode()))

    run(work())


@dead.command("replay")
def replay_letters(
    which: Annotated[list[str] | None, typer.Argument(metavar="N...", help="Numbers in the list, or keys.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """Hand dead letters back to the services that could not handle them."""

    async def work() -> None:
        if bool(which) == every:
            raise Failed("N, --all: give either numbers from `holdfast dead list`, or --all", USAGE)
        async with connected(operator=True) as client:
            done = await letters.replay(client.connection, lambda found: _pick(found, which) if which else found)
        for each in done:
            what = printable(f"{each.type or each.key} {short(each.id)}")
            typer.echo(f"{what} handed back to {each.service or 'commands'}")
        typer.echo(f"{len(done)} replayed; see `holdfast dead list` for any that come back")

    run(work())


def render_audit(console: Console, report: Report) -> None:
    """The report as people read it."""
    console.print(
        f"{report.accounts} accounts, {report.items} items, {report.codes} codes, {report.operations} operations, "
        f"{report.ledger_lines} ledger lines, {report.orders} orders, {report.redemptions} redemptions, "
        f"{report.in_flight} in flight",
        soft_wrap=True,
    )
    for finding in report.findings:
        console.print(f"audit: {finding}", style="red", markup=False, soft_wrap=True)
    console.print(f"audit: {len(report.findings)} found" if report.findings else "audit: nothing found")


async def _status(client: Client, service: Service) -> StatusView | str:
    """What the service says, or why it says nothing."""
    try:
        return await client.ask.status(service, ANSWER_S_MAX)
    except (Unreachable, QueryRefused) as error:
        return str(error)


def _open(view: StatusView) -> tuple[str, str]:
    """How many operations wait for others, and how many sagas have not ended: those of the service, or, where it has
    none of its own, the reservations in flight that it keeps for others. Ages are left out.
    """
    figures = {name: value for name, value in view.gauges.items() if not name.endswith("_seconds")}
    waiting = sum(value for name, value in figures.items() if name.startswith("operations_"))
    reservations = figures.get("reservations_in_flight", 0.0)
    sagas = [name for name in figures if not name.startswith("operations_") and name != "reservations_in_flight"]
    return f"{waiting:.0f}", f"{sum(figures[name] for name in sagas) if sagas else reservations:.0f}"


def _plain(seen: Seen, account: str) -> dict[str, object]:
    envelope = seen.envelope
    return {
        "id": envelope.id,
        "time": envelope.time,
        "account": account,
        "type": envelope.type,
        "saga": seen.fact.saga,
        "data": envelope.data,
    }


def _letter(each: letters.Letter) -> dict[str, object]:
    return {name: value for name, value in asdict(each).items() if name not in ("body", "content_type")}


def _body(each: letters.Letter) -> object:
    try:
        return from_json(each.body)
    except ValueError:
        return each.body.decode(errors="replace")


def _pick(found: list[letters.Letter], which: list[str]) -> list[letters.Letter]:
    """The letters with these numbers or keys."""
    picked = []
    for name in which:
        by_number = found[int(name) - 1 : int(name)] if name.isdecimal() and int(name) > 0 else []
        matching = by_number or [each for each in found if each.key.startswith(name)]
        if len(matching) != 1:
            raise Failed(f"N: {name!r} is not one of the {len(found)} dead letters; see `holdfast dead list`", USAGE)
        picked += matching
    return picked
