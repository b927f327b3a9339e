"""The demo ends with the line of its balances, and fails if anything was not as it must be."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from rich.console import Console

from client import demo
from client.audit import Report
from client.audit_rows import Finding
from client.client import Client
from client.session import Failed
from client.settings import Settings
from client.stage import Stage

FINDING = Finding("alice", "balance", "50", "80")


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_AUDIT_DATABASE_URL", "postgresql://auditor:secret@127.0.0.1:1/{service}")


async def played(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, int], *, expected: object = "", findings: tuple[Finding, ...] = ()
) -> None:
    """Play without a system: each scene ends with its right coins, or with those that are given by its name."""

    def ending(name: str, right: int) -> demo.Scene:
        async def scene(stage: Stage) -> int:
            stage.expect("what happened", "", expected)
            return wrong.get(name, right)

        return scene

    endings = [(title, scene, ending(scene.__name__, right), right) for title, scene, right in demo.SCENES]
    for _, scene, instead, _ in endings:
        monkeypatch.setattr(demo, scene.__name__, instead)
    monkeypatch.setattr(demo, "SCENES", tuple((title, instead, right) for title, _, instead, right in endings))

    @asynccontextmanager
    async def on_stage(settings: Settings, console: Console) -> AsyncIterator[Stage]:
        client = Client("amqp://client:secret@127.0.0.1:1/nowhere")
        yield Stage(client, client, asyncio.Queue(), Console(file=io.StringIO()))

    async def audit(*_: object) -> Report:
        return Report(1, 1, 1, 1, 1, 1, 1, 0, findings)

    monkeypatch.setattr(demo, "on_stage", on_stage)
    monkeypatch.setattr(demo, "audit", audit)
    await demo.play()


async def test_what_is_right_ends_with_the_line_of_both_balances(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await played(monkeypatch, {})
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "holdfast demo: order fails -> 100 coins, order succeeds -> 60 coins"


@pytest.mark.parametrize("scene", [scene.__name__ for _, scene, _ in demo.SCENES])
async def test_a_wrong_balance_of_any_scene_fails(scene: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match="80 instead of"):
        await played(monkeypatch, {scene: 80})


async def test_the_last_line_says_the_balances_that_were_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Failed):
        await played(monkeypatch, {"order_fails": 80})
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "holdfast demo: order fails -> 80 coins, order succeeds -> 60 coins"


async def test_what_was_expected_on_the_way_and_did_not_happen_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match="what happened:  instead of a wait"):
        await played(monkeypatch, {}, expected="a wait")


async def test_a_finding_of_the_audit_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match="the audit found something"):
        await played(monkeypatch, {}, findings=(FINDING,))
