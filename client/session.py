"""What the command line's commands share: a client with a memory, output for people or programs, and exit codes."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn
from uuid import UUID

import typer
from pydantic import ValidationError
from pydantic_core import to_json
from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.client import Client, Sent
from client.errors import (
    CommandRefused,
    NotAllowed,
    NotConfigured,
    QueryRefused,
    StillOpen,
    Unconfirmed,
    Unreachable,
)
from client.recall import Recall
from client.settings import Settings
from contracts.base import Scarce
from holdfast.delivery.words import explain

REFUSED, USAGE, UNREACHABLE = 1, 2, 3
WIDTH_MIN = 150
"""Room for a table with an id, in characters; a narrower terminal wraps whole lines, so that ids can be copied."""

NO_BROKER_REMEDY = "; start the system with `make up`"
STATUS_REMEDY = "; see `holdfast status`"

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it has ended.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, max=86400, help="Seconds to wait at most.")]
AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account.")]
OrderArgument = Annotated[UUID, typer.Argument(metavar="ORDER", help="The order's id.")]
After = Annotated[
    list[UUID] | None,
    typer.Option("--after", help="An earlier command's id to come after; instead of all unanswered ones. Repeatable."),
]
Scarcity = Annotated[
    Scarce,
    typer.Option("--scarce", help="Whether who comes while there is none, but one may come back, waits or is refused."),
]
OwnId = Annotated[UUID | None, typer.Option("--id", help="Its id; the same id again does nothing again.")]

CLI_NAMES = {
    "account_id": "ACCOUNT",
    "amount": "AMOUNT",
    "item": "ITEM",
    "code": "CODE",
    "order_id": "ORDER",
    "price": "--price",
    "stock": "--stock",
    "quantity": "--quantity",
    "deadline_s": "--deadline",
    "wait_s": "--wait-at-most",
    "factor": "--multiply",
    "uses_max": "--uses-max",
    "valid_from": "--from",
    "valid_until": "--until",
    "after": "--after",
    "scarce": "--scarce",
    "reason": "--reason",
    "traceparent": "TRACEPARENT (environment)",
    "limit": "--limit",
}


class Failed(Exception):
    """The command could not do what it was asked; the text says why. `code`: the exit code."""

    def __init__(self, text: str, code: int = REFUSED) -> None:
        super().__init__(text)
        self.code = code


def run(work: Coroutine[Any, Any, None]) -> None:
    """Do a command's work; whatever comes of it is one line on stderr and an exit code, never a traceback."""
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        asyncio.run(work)
    except Failed as error:
        _end(str(error), error.code)
    except CommandRefused as error:
        _end(f"refused: {error}", REFUSED)
    except ValidationError as error:
        _end(in_cli_words(explain(error)), USAGE)
    except (NotConfigured, NotAllowed, QueryRefused) as error:
        _end(str(error), USAGE)
    except (Unreachable, Unconfirmed) as error:
        _end(f"{error}{NO_BROKER_REMEDY if 'no broker answers' in str(error) else STATUS_REMEDY}", UNREACHABLE)
    except StillOpen as error:
        _end(f"{error}; it goes on by itself", UNREACHABLE)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@asynccontextmanager
async def connected(*, operator: bool = False) -> AsyncIterator[Client]:
    """A client for one command, that remembers unanswered commands from one call to the next."""
    settings = Settings.read()
    url = settings.required("operator_amqp_url" if operator else "amqp_url")
    recall = Recall(url, Path(settings.state_dir) if settings.state_dir else None)
    traceparent = os.environ.get("TRACEPARENT") or None
    name = "holdfast command line" + (" (operator)" if operator else "")
    async with Client(
        url, name=name, memory=recall, traceparent=traceparent, tls_ca_file=settings.tls_ca_file
    ) as client:
        yield client
    if recall.problem:
        typer.echo(f"holdfast: warning: {recall.problem}", err=True)


async def handled(client: Client, sent: Sent, timeout_s: float) -> None:
    """Wait until the service has taken the command. Raises `CommandRefused`, or `Failed` that tells its id."""
    try:
        await client.outcome(sent, timeout_s)
    except (Unreachable, StillOpen) as error:
        text = f"{sent.command.type} is sent with id {sent.id} and will be handled, but not yet: {error}"
        raise Failed(text + STATUS_REMEDY, UNREACHABLE) from error


def in_cli_words(text: str) -> str:
    """The same complaint with the names that the command line uses."""

    def rename(found: re.Match[str]) -> str:
        field = found[2].split(".")[0]
        return f"{found[1]}{CLI_NAMES.get(field, field)}: "

    return re.sub(r"(^|; )([a-z_]+(?:\.[a-z0-9_]+)*): ", rename, text)


def emit(value: object, as_json: bool, render: Callable[[Console], None]) -> None:
    """Print JSON for programs, or what `render` prints for people."""
    if as_json:
        typer.echo(to_json(value, indent=2).decode())
    else:
        render(Console(soft_wrap=True, highlight=False, markup=False, width=max(Console().width, WIDTH_MIN)))


def table(*columns: str) -> Table:
    """A plain table."""
    found = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        found.add_column(column, overflow="fold")
    return found


def as_written(text: str) -> Text:
    """A stranger's text as it was written: it is no markup of ours, and says nothing to the terminal."""
    return Text(printable(text))


def printable(text: str) -> str:
    """The text without what a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _end(text: str, code: int) -> NoReturn:
    typer.echo(f"holdfast: {printable(' '.join(text.split()))}", err=True)
    raise typer.Exit(code)
