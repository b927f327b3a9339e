"""Processes that outlive the program that started them, known by a file with their id, and ended by it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local.account import Account

_children: dict[int, subprocess.Popen[bytes]] = {}


class StartError(RuntimeError):
    """A process did not come up; the text ends with the last lines of its log."""


class PortTakenError(StartError):
    """It did not come up because somebody else took its port after we had found it free; another may do."""


LINE_MAX = 400
PORT_TRIES_MAX = 3


class Process:
    """One process group: `folder/name.pid` tells its leader and its stop signal, `folder/name.log` what it printed."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._pid_file = folder / f"{name}.pid"
        self._log_start = 0

    @classmethod
    def all_in(cls, folder: Path) -> list[Process]:
        """Every process recorded in the folder, the latest started first."""
        files = sorted(folder.glob("*.pid"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
        return [cls(folder, file.stem) for file in files]

    def start(
        self,
        command: Sequence[str | Path],
        env: Mapping[str, str],
        account: Account | None = None,
        cwd: Path | None = None,
        stopped_by: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start `command` in a session of its own, with exactly `env`, as `account` if one is given."""
        if self.pid:
            raise StartError(f"{self.name} is running already, with process id {self.pid}")
        with self.log.open("ab") as log:
            self.log.chmod(0o600)
            self._log_start = log.tell()
            child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
                **(account.popen_arguments() if account else {}),
            )
        self.adopt(child, stopped_by)

    def adopt(self, child: subprocess.Popen[bytes], stopped_by: signal.Signals = signal.SIGTERM) -> None:
        """Record a process that the caller started, so that whoever clears the folder ends it too."""
        _children[child.pid] = child
        self._pid_file.write_text(f"{child.pid} {_birth(child.pid)} {stopped_by.name}\n")

    @property
    def pid(self) -> int | None:
        """The leader's process id while it runs. A process that merely got the same id later does not count."""
        recorded = self._recorded()
        if recorded is None:
            return None
        pid, birth, _ = recorded
        child = _children.get(pid)
        if child is not None and child.poll() is not None:
            return None
        if _birth(pid) == birth:
            return pid
        if child is not None:
            child.poll()  # Until it is reaped others take it for alive, PostgreSQL among them.
        return None

    def stop(self, wait_s: float = 15) -> int | None:
        """End the process, gently for `wait_s` seconds and then by SIGKILL; nothing happens if it is gone.

        Returns its exit code if this program started it, negative for a signal's number.
        """
        recorded = self._recorded()
        if recorded and self.pid:
            _signal_group(recorded[0], recorded[2])
            if not self.wait_gone(wait_s):
                self.kill()
        self._pid_file.unlink(missing_ok=True)
        child = _children.get(recorded[0]) if recorded else None
        return child.poll() if child else None

    def kill(self) -> None:
        """SIGKILL the whole group, and what its processes started."""
        pid = self.pid
        if pid:
            family = _descendants(pid)
            _signal_group(pid, signal.SIGKILL)
            for other in family:
                _signal(other, signal.SIGKILL)
            self.wait_gone(10)
            _wait_all_gone(family, 10)
        self._pid_file.unlink(missing_ok=True)

    def wait_gone(self, wait_s: float) -> bool:
        """Whether the process has ended, after waiting for that at most `wait_s` seconds."""
        end = time.monotonic() + wait_s
        while self.pid:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def _recorded(self) -> tuple[int, str, signal.Signals] | None:
        try:
            pid, birth, stopped_by = self._pid_file.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid), birth, signal.Signals[stopped_by]

    def fail(self, why: str) -> StartError:
        """An error to raise: why, and the last lines of the log."""
        said = self._said().lower()
        port_taken = "eaddrinuse" in said or "address already in use" in said
        return (PortTakenError if port_taken else StartError)(f"{self.name}: {why}\n{self.tail()}")

    def tail(self, lines: int = 30) -> str:
        """The last lines of the log since the process was started, indented."""
        shown = self._said().splitlines()[-lines:]
        return "\n".join(f"  | {line[:LINE_MAX]}" for line in shown) or "  (it printed nothing)"

    def _said(self) -> str:
        return self.log.read_bytes()[self._log_start :].decode(errors="replace") if self.log.exists() else ""


def start_on_free_port(start: Callable[[], None], stop: Callable[[], None]) -> None:
    """Call `start`, and again after `stop` if it fails because a port was taken between choosing and using it."""
    for _ in range(PORT_TRIES_MAX - 1):
        try:
            start()
        except PortTakenError:
            stop()
        else:
            return
    start()


def _birth(pid: int) -> str:
    """When a process started, in whatever form the system tells it; empty if it is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
        said = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return "_".join(said.stdout.split())
    # A killed process whose first thread has ended holds its ports until its last one has.
    state, threads = fields[0], int(fields[17])
    return "" if state in "ZX" and threads <= 1 else fields[19]


def _descendants(pid: int) -> list[int]:
    """Ids of all processes below `pid`; empty where the system has no /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _wait_all_gone(pids: list[int], wait_s: float) -> None:
    end = time.monotonic() + wait_s
    while any(_birth(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.02)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        _signal(pid, number)
