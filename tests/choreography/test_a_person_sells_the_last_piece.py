"""The last piece of a counted item at the command line: who waits for it is told why, by each command that shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from client.cli import app
from contracts.events import FulfilmentRequested, OrderWaiting
from tests.choreography.conftest import News, World

Call = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def call(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call `holdfast` with these words: the exit code, and what it said with single spaces."""
    for name, value in {**environment, "HOLDFAST_STATE_DIR": str(tmp_path), "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)

    async def run(*words: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, app, list(words))
        return result.exit_code, " ".join(result.output.split())

    return run


async def test_who_waits_for_the_last_piece_is_told_why(world: World, news: News, call: Call) -> None:
    item, buyer, rival = f"i-{uuid4().hex[:12]}", await world.account(50), await world.account(50)
    put = "catalog", "put", item, "--price", "20", "--external"
    assert await call(*put, "--stock", "1") == (0, f"item {item}: 20 coins, 1 in stock, fulfilled externally")
    first, second = uuid4(), uuid4()
    code, said = await call("order", "place", buyer, item, "--id", str(first))
    assert (code, "waits for" in said) == (0, False)
    await news.of(FulfilmentRequested, first)
    code, said = await call("order", "place", rival, item, "--id", str(second))
    await news.of(OrderWaiting, second)
    assert f"take 1 waits for take 1 {str(first)[:8]}, at most" in said
    _, said = await call("catalog", "show", item)
    assert "stock 0 (surely) possible 1 (at most)" in said
    assert f"{second} take 1 waiting take 1 {str(first)[:8]}" in said

    code, said = await call("fulfilment", "accept", str(second), "--timeout", "1")
    assert (code, "is still reserved after 1 s; its acceptance counts once coins and pieces are there" in said) == (
        3,
        True,
    )
    code, said = await call("fulfilment", "reject", str(first))
    assert (code, f"order {first} failed (rejected)" in said) == (0, True)
    code, said = await call("order", "show", str(second), "--wait", "--timeout", "20")
    assert (code, f"order {second} completed 1 x {item}" in said) == (0, True)
    assert not news.heard(FulfilmentRequested, second)

    assert await call(*put) == (0, f"item {item}: 20 coins, fulfilled externally")
    _, said = await call("catalog", "show", item)
    assert "stock not counted here" in said
    _, said = await call("catalog", "list")
    assert f"{item} 20 - external wait" in said
