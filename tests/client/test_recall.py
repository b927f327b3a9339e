"""The command line's memory survives other writers, a broken file and a folder that cannot be written."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from client.recall import Recall

URL = "amqp://client:secret@localhost:5672/holdfast"
A, B = UUID(int=1), UUID(int=2)


def test_the_next_call_names_the_command_of_the_last(tmp_path: Path) -> None:
    now = time.time()
    assert Recall(URL, tmp_path).follow("alice", A, None, now) == ()
    assert Recall(URL, tmp_path).follow("alice", B, None, now + 1) == (A,)


def test_each_broker_has_its_own_memory_whatever_the_password(tmp_path: Path) -> None:
    now = time.time()
    Recall(URL, tmp_path).follow("alice", A, None, now)
    other_vhost = Recall(URL + "2", tmp_path)
    assert other_vhost.follow("alice", B, None, now) == ()
    as_operator = Recall("amqp://operator:other@localhost/holdfast", tmp_path)
    assert as_operator.follow("alice", B, None, now) == (A,)


def test_no_password_is_kept(tmp_path: Path) -> None:
    Recall(URL, tmp_path).follow("alice", A, None, time.time())
    assert not any("secret" in path.read_text() or "secret" in path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"alice": 7}', '{"alice": [{"id": "x"}]}', "\x00\x01"])
def test_a_broken_file_counts_as_empty_and_is_replaced(tmp_path: Path, content: str) -> None:
    recall = Recall(URL, tmp_path)
    recall._file.write_text(content)
    now = time.time()
    assert recall.follow("alice", A, None, now) == ()
    assert recall.follow("alice", B, None, now) == (A,)
    assert recall.problem is None


def test_a_forgotten_command_is_not_named(tmp_path: Path) -> None:
    recall = Recall(URL, tmp_path)
    recall.follow("alice", A, None, time.time())
    recall.forget("alice", A)
    assert recall.follow("alice", B, None, time.time()) == ()


def test_forgetting_what_is_not_remembered_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path, tmp_path / "file", tmp_path / "none"):
        recall = Recall(URL, folder)
        recall.forget("alice", A)
        assert recall.problem is None
        assert not recall._file.exists()


def test_without_a_folder_a_command_is_sent_all_the_same_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    recall = Recall(URL, tmp_path / "file")
    assert recall.follow("alice", A, (B,), time.time()) == (B,)
    assert recall.problem
    assert "HOLDFAST_STATE_DIR" in recall.problem


def test_concurrent_writers_lose_nothing(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write, args=(tmp_path, f"account-{number}")) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    recall = Recall(URL, tmp_path)
    for number in range(4):
        assert len(recall.follow(f"account-{number}", uuid4(), None, time.time())) == 10
    assert len(list(tmp_path.iterdir())) == 2, "the file and its lock"


def _write(folder: Path, account: str) -> None:
    for _ in range(10):
        Recall(URL, folder).follow(account, uuid4(), None, time.time())
