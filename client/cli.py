"""The command `holdfast`. Exit codes: 0 done; 1 refused, failed or found something; 2 wrong input or settings;
3 broker or service not reachable, or not ended in the time given.
"""

from __future__ import annotations

import typer

from client import commands_account, commands_operate, commands_order, commands_promo
from client.session import run

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Users, orders and promos whose coins end as if one program had run every operation. "
    "Exit codes: 0 done; 1 refused, failed or found something; 2 wrong input or settings; "
    "3 broker or service not reachable, or not ended in the time given.",
)
app.add_typer(commands_account.app, name="account")
app.add_typer(commands_order.order, name="order")
app.add_typer(commands_promo.app, name="promo")
app.add_typer(commands_order.catalog, name="catalog")
app.add_typer(commands_order.fulfilment, name="fulfilment")
app.command("status")(commands_operate.status)
app.command("audit")(commands_operate.audit_command)
app.add_typer(commands_operate.dead, name="dead")
app.command("watch")(commands_operate.watch)


@app.command()
def demo() -> None:
    """Play the problem and its right answers through the broker, and check the balances."""
    from client.demo import play

    run(play())


if __name__ == "__main__":
    app()
