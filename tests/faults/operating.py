"""What an operator does to a broker of ours from its own command line."""

from __future__ import annotations

import subprocess

from local import sources
from local.account import unprivileged
from local.broker import Broker


def control(broker: Broker, *words: str) -> str:
    """What `rabbitmqctl` prints for these words. Raises `CalledProcessError` if it fails."""
    program, account = sources.rabbitmq(), unprivileged()
    done = subprocess.run(
        [program.server.parent / "rabbitmqctl", *words],
        env=broker._environment(program),
        cwd=broker._state,
        capture_output=True,
        text=True,
        check=True,
        **(account.popen_arguments() if account else {}),
    )
    return str(done.stdout)
