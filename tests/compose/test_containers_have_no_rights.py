"""The containers of compose.yaml as they run: what the kernel says of each of their processes.

`make test-compose` starts them, and HOLDFAST_COMPOSE_PROJECT names them.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from local.compose import SERVICES


@pytest.fixture(params=SERVICES)
def container(request: pytest.FixtureRequest) -> str:
    """The id of a service's container."""
    project = f"label=com.docker.compose.project={os.environ['HOLDFAST_COMPOSE_PROJECT']}"
    service = f"label=com.docker.compose.service={request.param}"
    (found,) = _docker("ps", "--quiet", "--filter", project, "--filter", service).split()
    return found


def test_no_process_has_a_capability_or_can_gain_one(container: str) -> None:
    lines = _inside(container, "cat /proc/[0-9]*/status 2>/dev/null || true").splitlines()
    said = {tuple(line.split()) for line in lines if line.startswith(("Cap", "NoNewPrivs"))}
    none = "0" * 16
    assert said == {*((f"Cap{which}:", none) for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")), ("NoNewPrivs:", "1")}


def test_no_process_is_roots(container: str) -> None:
    lines = _inside(container, "cat /proc/[0-9]*/status 2>/dev/null || true").splitlines()
    users = {line for line in lines if line.startswith("Uid:")}
    assert users
    assert not [line for line in users if "0" in line.split()]


def test_nothing_that_the_image_brought_can_be_written(container: str) -> None:
    points = (line.split() for line in _inside(container, "cat /proc/1/mountinfo").splitlines())
    (options,) = (fields[5].split(",") for fields in points if fields[4] == "/")
    assert "ro" in options


def _inside(container: str, script: str) -> str:
    return _docker("exec", container, "sh", "-c", script)


def _docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True, timeout=60).stdout
