"""Passwords are made on first use, kept, and readable by their owner only."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from pathlib import Path

from local.sources import PROJECT
from provision import secrets


def test_a_second_use_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    first = secrets.ensure(file)
    text = file.read_text()
    assert secrets.ensure(file) == first
    assert file.read_text() == text


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    secrets.ensure(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    secrets.ensure(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_there_is_kept_and_what_is_missing_is_added(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# mine\nHOLDFAST_BROKER_CLIENT_PASSWORD=chosen\nOTHER=1")
    settings = secrets.ensure(file)
    assert settings["HOLDFAST_BROKER_CLIENT_PASSWORD"] == "chosen"
    assert "client:chosen@" in settings["HOLDFAST_AMQP_URL"]
    assert file.read_text().startswith("# mine\nHOLDFAST_BROKER_CLIENT_PASSWORD=chosen\nOTHER=1\nHOLDFAST_BROKER_ADMIN")


def test_no_two_passwords_are_the_same_and_no_two_installations_share_one(tmp_path: Path) -> None:
    one, other = secrets.ensure(tmp_path / "one"), secrets.ensure(tmp_path / "other")
    passwords = [value for found in (one, other) for name, value in found.items() if name.endswith("_PASSWORD")]
    assert len(passwords) == len(set(passwords)) == 2 * (len(secrets.BROKER_USERS) + len(secrets.DATABASE_ROLES))
    assert all(len(password) >= 32 for password in passwords)
    assert one["COMPOSE_PROJECT_NAME"] != other["COMPOSE_PROJECT_NAME"]


def test_a_port_that_is_taken_is_not_chosen(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert secrets.free_port(taken) != taken
    assert secrets.free_port(taken) == taken


def test_first_uses_at_the_same_time_agree(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    command = [sys.executable, "-m", "provision.secrets", str(file)]
    runs = [subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [run.wait() for run in runs] == [0, 0, 0, 0]
    names = [line.partition("=")[0] for line in file.read_text().splitlines()]
    assert len(names) == len(set(names))


def test_the_audit_url_leaves_the_service_open(tmp_path: Path) -> None:
    settings = secrets.ensure(tmp_path / ".env")
    port = settings["HOLDFAST_POSTGRES_PORT"]
    assert settings["HOLDFAST_AUDIT_DATABASE_URL"].endswith(f"@127.0.0.1:{port}/{{service}}")
