"""What waits for what is said in the same words of an account, an item and a code."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from rich.console import Console

from client.commands_account import render_account
from client.commands_order import render_item
from client.commands_promo import render_promo
from client.pending import told
from contracts.queries import AccountView, ItemView, PromoView
from contracts.roles import Multiply
from holdfast.entities.words import PendingView

A, B = UUID("aaaaaaaa-0000-4000-8000-000000000001"), UUID("bbbbbbbb-0000-4000-8000-000000000002")
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
UNTIL = NOW + timedelta(seconds=60)


def pending(
    operation_id: UUID, kind: str, state: str, size: int | None, waits_for: tuple[UUID, ...] = ()
) -> PendingView:
    """An operation that ends within a minute, or waits at most so long."""
    own, ahead = (None, UNTIL) if waits_for else (UNTIL, None)
    return PendingView(
        operation_id=operation_id,
        kind=kind,
        state=state,
        size=size,
        deadline=own,
        waits_for=waits_for,
        waits_until=ahead,
    )


def account(first: PendingView, second: PendingView, count: int | None) -> Callable[[Console], None]:
    view = AccountView(
        account_id="alice",
        balance=50,
        available=30,
        possible=100,
        pending=(first, second),
        pending_count=count,
        now=NOW,
    )
    return lambda console: render_account(console, view)


def item(first: PendingView, second: PendingView, count: int | None) -> Callable[[Console], None]:
    view = ItemView(
        item="sword",
        price=20,
        stock=0,
        possible=1,
        fulfilment="instant",
        scarce="wait",
        pending=(first, second),
        pending_count=count or 0,
        now=NOW,
    )
    return lambda console: render_item(console, view)


def code(first: PendingView, second: PendingView, count: int | None) -> Callable[[Console], None]:
    view = PromoView(
        effect=Multiply(factor=2),
        valid_from=None,
        valid_until=None,
        uses_max=1,
        uses=1,
        scarce="wait",
        pending=(first, second),
        pending_count=count or 0,
        now=NOW,
    )
    return lambda console: render_promo(console, "DOUBLE", view)


def lines(render: Callable[[Console], None]) -> list[str]:
    """What a person reads, with single spaces."""
    console = Console(width=150, file=io.StringIO())
    render(console)
    assert isinstance(console.file, io.StringIO)
    return [" ".join(each.split()) for each in console.file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("shown", "kinds", "words"),
    [
        (account, ("reserve", 20, "multiply", 2), ("reserve 20", "multiply x2")),
        (item, ("take", 1, "take", 1), ("take 1", "take 1")),
        (code, ("claim", 3, "claim", 3), ("claim", "claim")),
    ],
)
def test_an_account_an_item_and_a_code_say_in_the_same_words_what_waits(
    shown: Callable[[PendingView, PendingView, int | None], Callable[[Console], None]],
    kinds: tuple[str, int | None, str, int | None],
    words: tuple[str, str],
) -> None:
    first = pending(A, kinds[0], "reserved", kinds[1])
    said = lines(shown(first, pending(B, kinds[2], "waiting", kinds[3], (A,)), 2))
    assert said[-2:] == [
        f"{A} {words[0]} reserved its saga's end 60 s",
        f"{B} {words[1]} waiting {words[0]} {str(A)[:8]} 60 s",
    ]


@pytest.mark.parametrize("shown", [account, item, code])
def test_how_many_more_are_pending_is_said(
    shown: Callable[[PendingView, PendingView, int | None], Callable[[Console], None]],
) -> None:
    first, second = pending(A, "reserve", "reserved", 20), pending(B, "multiply", "waiting", 2, (A,))
    assert lines(shown(first, second, 1000))[-1] == "and 998 more"
    assert not any("more" in each for each in lines(shown(first, second, 2)))
    assert not any("more" in each for each in lines(shown(first, second, None)))


def test_an_account_with_nothing_pending_says_so() -> None:
    view = AccountView(account_id="alice", balance=5, available=5, possible=5, pending=(), now=NOW)
    assert lines(lambda console: render_account(console, view)) == [
        "account alice",
        "balance 5",
        "available 5 (surely)",
        "possible 5 (at most)",
        "pending nothing",
    ]


@pytest.mark.parametrize(
    ("state", "waits_for", "sentence"),
    [
        ("waiting", (A,), "multiply x2 waits for reserve 20 aaaaaaaa, at most 60 s"),
        ("accepted", (A,), "multiply x2 is accepted and waits for reserve 20 aaaaaaaa, at most 60 s"),
        ("outside", (UUID(int=0),), "multiply x2 waits for the arrival of command 00000000, at most 60 s"),
        ("reserved", (), None),
        ("multiplied", (), None),
    ],
)
def test_one_sentence_says_what_an_operation_waits_for(
    state: str, waits_for: tuple[UUID, ...], sentence: str | None
) -> None:
    both = (pending(A, "reserve", "reserved", 20), pending(B, "multiply", state, 2, waits_for))
    assert told(B, both, NOW) == sentence


def test_a_wait_whose_end_nobody_knows_is_told_without_it() -> None:
    endless = pending(B, "multiply", "accepted", 2, (A,)).model_copy(update={"waits_until": None})
    assert told(B, (endless,), NOW) == "multiply x2 is accepted and waits for command aaaaaaaa"


def test_an_operation_that_is_not_there_waits_for_nothing() -> None:
    assert told(B, (), NOW) is None


def test_a_settled_operation_behind_an_open_one_waits_for_nothing_but_to_count() -> None:
    both = (pending(A, "reserve", "reserved", 20), pending(B, "credit", "credited", 5))
    assert "nothing; counts after those before it" in lines(account(*both, 2))[-1]


@pytest.mark.parametrize(
    ("stock", "said"), [(None, ["stock not counted here"]), (1, ["stock 1 (surely)", "possible 2 (at most)"])]
)
def test_an_item_that_is_fulfilled_externally_shows_its_stock_where_that_is_counted(
    stock: int | None, said: list[str]
) -> None:
    possible = None if stock is None else stock + 1
    view = ItemView(
        item="lamp", price=20, stock=stock, possible=possible, fulfilment="external", scarce="wait", now=NOW
    )
    head = ["item lamp", "price 20", "fulfilment external", "scarce wait"]
    assert lines(lambda console: render_item(console, view)) == [*head, *said, "pending nothing"]
