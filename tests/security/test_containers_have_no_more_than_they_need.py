"""compose.yaml and the Dockerfile, read as Docker reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
FOREIGN = {"rabbitmq", "postgres"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_cannot_change_itself_or_rise(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("user") == (name if name in FOREIGN else None)  # ours: the image says who
    assert not service.keys() & {"cap_add", "privileged", "network_mode", "pid", "ipc", "devices", "userns_mode"}


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:"), port


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_from_the_host_is_read_only_and_ours(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source, _, rest = volume.partition(":")
        assert name in FOREIGN
        assert source == name or (source.startswith("./provision/") and rest.endswith(":ro")), volume


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_written_down(name: str) -> None:
    """Each comes from the environment, and without it nothing starts."""
    for key, value in SERVICES[name].get("environment", {}).items():
        if re.search("PASS|KEY|_URL$", key) and not key.endswith("HTTP_URL"):
            assert re.search(r"\$\{[A-Z_]+(_PASSWORD|_KEY)(:\?[^}]*)?\}", str(value)), key
            assert not re.search(r":[^/${}@]+@", str(value)), key


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - FOREIGN))
def test_a_service_is_given_its_own_secrets_only(name: str) -> None:
    given = set(re.findall(r"\$\{(HOLDFAST_\w+_PASSWORD)", str(SERVICES[name].get("environment", {}))))
    if name == "provision":
        return
    service = name.removesuffix("_migration").upper()
    role = f"{service}_OWNER" if name.endswith("_migration") else service
    own = {f"HOLDFAST_DATABASE_{role}_PASSWORD", f"HOLDFAST_BROKER_{service}_PASSWORD"}
    assert given <= own, given - own


def test_ours_run_as_a_user_without_rights_or_a_shell() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    assert lines[-1] == "USER 10001:10001"
    assert any("--require-hashes" in line for line in lines)
    for name in SERVICES.keys() - FOREIGN:
        assert SERVICES[name]["build"] == "."


def test_the_image_holds_our_packages_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*"
    services = {"user_service", "order_service", "promo_service", "examples"}
    packages = services | {"holdfast", "contracts", "client", "provision"}
    others = {"bin", "requirements/run.lock"}
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == packages | others


def test_the_command_finds_its_python_in_the_image() -> None:
    assert "/../.venv/bin/python" in (ROOT / "bin/holdfast").read_text()
    text = (ROOT / "Dockerfile").read_text()
    assert "WORKDIR /app\n" in text
    assert "COPY --from=dependencies /app/.venv /app/.venv\n" in text
    assert "PATH=/app/.venv/bin:/app/bin:$PATH PYTHONPATH=/app " in text
