"""`python -m local up | down | run -- COMMAND ... | parts`: the system on this machine, without Docker."""

from __future__ import annotations

import argparse
import fcntl
import os
import secrets as random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.services import SERVICES
from local import sources
from local.account import usable_folder
from local.guard import throwaway_parts
from local.parts import Parts
from local.processes import Process, StartError
from local.sources import PROJECT, STATE, NoPart
from local.stack import Stack, stop_all
from provision import secrets
from provision.management import ManagementError

UP_ENV, UP_REPORT = STATE / "up.env", STATE / "up.report"


def main() -> int:
    """Do what the command line says. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start everything and leave it running")
    commands.add_parser("down", help="stop what `up` started")
    run = commands.add_parser("run", help="run a command against a system that lasts as long as the command")
    run.add_argument("words", nargs="+", metavar="COMMAND")
    commands.add_parser("parts", help="say where the broker and the database come from, after fetching them if need be")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        match given.command:
            case "up":
                return up()
            case "down":
                return down()
            case "run":
                return run_in_throwaway(given.words)
            case _:
                return say_parts()
    except (StartError, NoPart, ManagementError, TimeoutError) as error:
        print(f"holdfast: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def up() -> int:
    """Start everything, detached; what is in the way, half an earlier `up` for instance, is stopped first."""
    with _alone():
        settings = secrets.ensure(PROJECT / ".env")
        folder = _folder()
        parts = Parts(folder, settings, usual_ports=True)
        if UP_ENV.exists() and _all_run(folder, parts):
            print(f"holdfast is already up.\n{UP_REPORT.read_text()}")
            return 0
        _stop(folder)
        parts.start()
        try:
            stack = Stack(parts, usual_ports=True)
            stack.start()
        except BaseException:
            parts.stop()
            raise
        secrets.write(UP_REPORT, stack.report())
        env = {**stack.site.client_env(), "HOLDFAST_RABBITMQ_MANAGEMENT_URL": parts.broker.management_url}
        secrets.write(UP_ENV, "".join(f"{name}={value}\n" for name, value in env.items()))
        print(f"holdfast is up.\n{stack.report()}Stop it with: make down")
        return 0


def down() -> int:
    """Stop what `up` left running. Its data is kept for the next `up`."""
    with _alone():
        ran = _stop(_folder())
        print("holdfast is down." if ran else "holdfast was not up.")
        return 0


def run_in_throwaway(words: list[str]) -> int:
    """The exit code of a command, run against a system of its own that is gone afterwards."""
    settings = secrets.ensure(PROJECT / ".env")
    with throwaway_parts(settings) as parts:
        stack = Stack(parts, site=f"run_{random.token_hex(4)}")
        try:
            stack.start()
            return _call(words, stack.site.client_env(), Process(parts.folder, "command"))
        finally:
            stack.stop()
            if not (parts.broker.private and parts.postgres.private):
                stack.site.drop()


def say_parts() -> int:
    """Print where each part comes from."""
    rabbitmq, postgresql = sources.rabbitmq(), sources.postgresql()
    print(f"RabbitMQ    {rabbitmq.origin}: {rabbitmq.server}\nPostgreSQL  {postgresql.origin}: {postgresql.bin}")
    return 0


def _call(words: list[str], env: dict[str, str], recorded: Process) -> int:
    """Run a command in the foreground; it gets the terminal's Ctrl-C itself, and ends before its system does."""
    program = shutil.which(words[0])
    if program is None:
        raise StartError(f"{words[0]}: no such command")
    child = subprocess.Popen([program, *words[1:]], env={**os.environ, **env})
    recorded.adopt(child)
    try:
        return child.wait()
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _stop(folder: Path) -> bool:
    """End all recorded processes: services together, then the parts. Whether any ran."""
    processes = Process.all_in(folder)
    ran = any(process.pid for process in processes)
    stop_all([process for process in processes if process.name not in ("rabbitmq", "epmd", "postgres")])
    for process in Process.all_in(folder):
        process.stop(wait_s=30)
    UP_ENV.unlink(missing_ok=True)
    return ran


def _all_run(folder: Path, parts: Parts) -> bool:
    needed = len(SERVICES) + 2 * parts.broker.private + parts.postgres.private
    processes = Process.all_in(folder)
    return len(processes) == needed and all(process.pid for process in processes)


def _folder() -> Path:
    return usable_folder(STATE / "up")


@contextmanager
def _alone() -> Iterator[None]:
    """One `up` or `down` at a time in this clone."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
