"""Runs the tests of the whole system against compose.yaml, on containers and volumes of their own.

`python -m local.compose [PYTEST ARGUMENTS ...]`, default `tests/compose tests/choreography`, and then the broker's
policy on the RabbitMQ of compose.yaml, which is another one than native parts have.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from contracts.services import SERVICES as OURS
from local.broker import AMQP_URL, MANAGEMENT_URL
from local.processes import StartError
from local.sources import PROJECT, STATE
from provision import secrets

HEALTHY_S_MAX = 180
SERVICES = ("rabbitmq", "postgres", *OURS)
POLICY = [
    f"tests/security/test_{name}.py"
    for name in ("every_cell_of_the_brokers_policy", "only_who_is_known_gets_in", "nobody_speaks_for_another")
]


class Compose:
    """One compose project: `name` keeps it apart from others, `env_file` has its passwords and ports."""

    def __init__(self, name: str, env_file: Path) -> None:
        self.name = name
        files = ["--project-directory", str(PROJECT), "--file", str(PROJECT / "compose.yaml")]
        self._command = [*_compose_command(), *files, "--env-file", str(env_file), "--project-name", name]
        self._env = {key: value for key, value in os.environ.items() if not key.startswith("HOLDFAST_")}

    def call(self, *words: str, check: bool = True) -> None:
        """Run a compose command; its output goes to ours."""
        done = subprocess.run([*self._command, *words], env=self._env, cwd=PROJECT, check=False)
        if check and done.returncode:
            raise StartError(f"compose {words[0]} failed, with exit code {done.returncode}")

    def wait_healthy(self) -> None:
        """Return once all lasting containers are healthy. Raises `StartError` if one is not in time."""
        end = time.monotonic() + HEALTHY_S_MAX
        while states := {name: state for name in SERVICES if (state := self._health(name)) != "healthy"}:
            if time.monotonic() > end:
                raise StartError(f"not healthy after {HEALTHY_S_MAX} s: {states}")
            time.sleep(0.5)

    def down(self) -> None:
        """Remove containers, networks, volumes and images of this project."""
        self.call("down", "--volumes", "--remove-orphans", "--rmi", "local", "--timeout", "15", check=False)

    def _health(self, service: str) -> str:
        """The worst state among the service's containers."""
        listed = subprocess.run(
            [*self._command, "ps", "-q", service],
            env=self._env,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        ids = listed.stdout.split()
        if not ids:
            return "missing"
        said = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=False)
        states = [found["State"].get("Health", {}).get("Status", "unknown") for found in json.loads(said.stdout)]
        return next((str(state) for state in states if state != "healthy"), "healthy")


def main(arguments: list[str]) -> int:
    """The exit code of the tests."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = STATE / "compose"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _test(folder / "test.env", arguments)


def _test(env_file: Path, arguments: list[str]) -> int:
    try:
        compose = Compose(f"holdfast-test-{hashlib.sha256(str(PROJECT).encode()).hexdigest()[:8]}", env_file)
        env_file.unlink(missing_ok=True)
        settings = secrets.ensure(env_file)
        compose.down()  # what a run that was killed has left
    except StartError as error:
        print(f"holdfast: {error}", file=sys.stderr)
        return 1
    code = 1
    try:
        compose.call("up", "--build", "--detach")
        compose.wait_healthy()
        urls = {name: settings[name] for name in secrets.client_urls(settings, "", "")}
        given = {**urls, "HOLDFAST_STACK": "compose", "HOLDFAST_COMPOSE_PROJECT": compose.name}
        code = _pytest(arguments or ["tests/compose", "tests/choreography"], given)
        if not code and not arguments:
            code = _pytest(POLICY, _broker_alone(settings))
    except StartError as error:
        print(f"holdfast: {error}", file=sys.stderr)
    finally:
        if code:
            compose.call("logs", "--no-color", "--tail", "60", check=False)
        compose.down()
        env_file.unlink()
    return code


def _pytest(arguments: list[str], env: dict[str, str]) -> int:
    """Its exit code."""
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=PROJECT, env={**os.environ, **env}, check=False).returncode


def _broker_alone(settings: dict[str, str]) -> dict[str, str]:
    """What makes tests take this broker for native parts. They give its users other passwords, so they come last."""
    password = settings[secrets.broker_password("admin")]
    return {
        MANAGEMENT_URL: f"http://admin:{password}@127.0.0.1:{settings['HOLDFAST_UI_PORT']}",
        AMQP_URL: f"amqp://127.0.0.1:{settings['HOLDFAST_AMQP_PORT']}",
    }


def _compose_command() -> list[str]:
    """`docker compose` where it is installed, else the older `docker-compose`. Raises `StartError`."""
    for command in (["docker", "compose"], ["docker-compose"]):
        try:
            found = subprocess.run([*command, "version"], capture_output=True, check=False)
        except FileNotFoundError:
            continue
        if found.returncode == 0:
            if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
                raise StartError("Docker is installed, but its engine does not answer: start it, and see `docker info`")
            return command
    raise StartError("this needs Docker with `docker compose`, or `docker-compose` 1.29 or later")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
