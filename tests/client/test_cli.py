"""What a person can do wrong is one clear line that names it, and an exit code; never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client import recall
from client.cli import app
from client.session import emit

NOBODY = "amqp://client:secret@127.0.0.1:1/nowhere"
ID = "2f1e5cbb-6f1e-4d8c-9d0a-6a9a7a3d1c11"

LOCAL_MISTAKES: list[tuple[list[str], str]] = [
    (["promo", "put", "X"], "--multiply, --bonus"),
    (["promo", "put", "X", "--multiply", "2", "--bonus", "3"], "--multiply, --bonus"),
    (["promo", "put", "X", "--multiply", "1"], "--multiply"),
    (["promo", "put", "X", "--bonus", "0"], "--bonus"),
    (["promo", "put", "X", "--bonus", "-5"], "--bonus"),
    (["promo", "put", "X", "--bonus", "5", "--from", "tomorrow"], "--from"),
    (["promo", "put", "X", "--bonus", "5", "--from", "2030-01-02", "--until", "2030-01-01"], "--until"),
    (["promo", "put", "X", "--bonus", "5", "--until", "9999-12-31T23:59:59-05:00"], "--until"),
    (["promo", "put", "X", "--bonus", "5", "--until", "9999-06-01T00:00:00Z"], "--until"),
    (["promo", "generate"], "--multiply, --bonus"),
    (["promo", "put", "X", "--bonus", "5", "--scarce", "never"], "--scarce"),
    (["catalog", "put", "book", "--price", "3", "--scarce", "never"], "--scarce"),
    (["promo", "generate", "--bonus", "-5"], "--bonus"),
    (["order", "show", "7"], "ORDER"),
    (["order", "place", "alice", "book", "--after", "7"], "--after"),
    (["account", "credit", "alice", "many"], "AMOUNT"),
    (["account", "history", "alice", "--limit", "0"], "--limit"),
    (["dead", "replay"], "--all"),
    (["dead", "replay", "1", "--all"], "--all"),
    (["frobnicate"], "frobnicate"),
]


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_STATE_DIR", str(tmp_path / "state"))
    for name in ("HOLDFAST_AMQP_URL", "HOLDFAST_OPERATOR_AMQP_URL", "HOLDFAST_AUDIT_DATABASE_URL", "TRACEPARENT"):
        monkeypatch.delenv(name, raising=False)


def call(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result.exit_code, result.output


@pytest.mark.parametrize(("words", "named"), LOCAL_MISTAKES, ids=lambda value: " ".join(value))
def test_a_mistake_is_named(words: list[str], named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = call(*words)
    assert code == 2
    assert named in output.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "variable"),
    [
        (["account", "show", "alice"], "HOLDFAST_AMQP_URL"),
        (["catalog", "put", "book", "--price", "3"], "HOLDFAST_OPERATOR_AMQP_URL"),
        (["watch"], "HOLDFAST_OPERATOR_AMQP_URL"),
        (["dead", "list"], "HOLDFAST_OPERATOR_AMQP_URL"),
        (["audit"], "HOLDFAST_AUDIT_DATABASE_URL"),
        (["demo"], "HOLDFAST_AUDIT_DATABASE_URL"),
    ],
)
def test_a_missing_setting_is_named_with_its_remedy(words: list[str], variable: str) -> None:
    code, output = call(*words)
    assert code == 2
    assert f"{variable} is not set" in output
    assert "make up" in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize("url", ["foo", "amqp://", "amqp://host:port/x", "http://host/x"])
def test_a_url_that_is_none_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_AMQP_URL", url)
    code, output = call("account", "show", "alice")
    assert code == 2
    assert output.startswith("holdfast: HOLDFAST_AMQP_URL must be a URL such as amqp://")


def test_an_audit_url_without_its_place_for_the_service_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_AUDIT_DATABASE_URL", "postgresql://auditor@127.0.0.1:1/user_service")
    code, output = call("audit")
    assert code == 2
    assert "{service}" in output


def test_a_broker_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_AMQP_URL", NOBODY)
    code, output = call("account", "show", "alice")
    assert code == 3
    assert "127.0.0.1:1" in output
    assert "make up" in output
    assert "secret" not in output


def test_a_database_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_AUDIT_DATABASE_URL", "postgresql://auditor:secret@127.0.0.1:1/{service}")
    code, output = call("audit")
    assert code == 3
    assert "user_service at 127.0.0.1:1" in output
    assert "secret" not in output


def test_settings_are_read_from_the_file_that_up_wrote_before_those_of_env(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HOLDFAST_AMQP_URL=amqp://client:a@127.0.0.1:2/env\n")
    assert "127.0.0.1:2/env" in call("account", "show", "alice")[1]
    (tmp_path / ".holdfast").mkdir()
    (tmp_path / ".holdfast" / "up.env").write_text(f"HOLDFAST_AMQP_URL={NOBODY}\n")
    assert "127.0.0.1:1/nowhere" in call("account", "show", "alice")[1]


def test_help_lists_every_group() -> None:
    code, output = call("--help")
    assert code == 0
    for name in ("account", "order", "promo", "catalog", "fulfilment", "status", "audit", "dead", "watch", "demo"):
        assert name in output


def test_json_of_recall_is_readable_by_people(tmp_path: Path) -> None:
    """The memory's file can be looked at when something is odd."""
    from uuid import UUID

    kept = recall.Recall(NOBODY, tmp_path)
    kept.follow("alice", UUID(ID), None, 1.0e9)
    assert list(json.loads(kept._file.read_text())) == ["alice"]


def test_what_a_stranger_wrote_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    emit("order", False, lambda console: console.print("order failed (no [/x] left [red])"))
    assert capsys.readouterr().out == "order failed (no [/x] left [red])\n"


@pytest.mark.parametrize("words", [["status"], ["audit"], ["account", "show", "alice"]])
def test_a_file_of_settings_that_cannot_be_read_is_named(words: list[str], tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"HOLDFAST_AMQP_URL=\xff")
    code, output = call(*words)
    assert code == 2
    assert ".env or .holdfast/up.env cannot be read" in output
