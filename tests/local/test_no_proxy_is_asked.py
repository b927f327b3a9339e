"""What speaks HTTP to our own servers asks no proxy that the environment names, and follows no redirection."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from local.service import Service
from local.sources import PROJECT
from provision.management import Management, ManagementError


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Who waits for what is said to a proxy; each variable that may name one names it."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.setblocking(False)
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            for spelling in (name, name.upper()):
                monkeypatch.setenv(spelling, f"http://127.0.0.1:{made.getsockname()[1]}")
                monkeypatch.delenv("no_proxy", raising=False)
                monkeypatch.delenv("NO_PROXY", raising=False)
        yield made


@pytest.fixture
def server(listener: socket.socket) -> Iterator[HTTPServer]:
    """Answers {}; a redirection to the listener under /api/away, and an error under /ill."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            away = self.path == "/api/away"
            self.send_response(302 if away else 503 if self.path == "/ill/health" else 200)
            if away:
                self.send_header("Location", f"http://127.0.0.1:{listener.getsockname()[1]}/")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Answer) as made:
        thread = Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def heard_nothing(listener: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_the_administrators_password_goes_to_the_broker_alone(server: HTTPServer, listener: socket.socket) -> None:
    management = Management(f"http://admin:secret@127.0.0.1:{server.server_port}")
    assert management.call("GET", "overview", within_s=5) == {}
    heard_nothing(listener)


def test_nor_to_where_a_redirection_leads(server: HTTPServer, listener: socket.socket) -> None:
    management = Management(f"http://admin:secret@127.0.0.1:{server.server_port}")
    with pytest.raises(ManagementError, match="302"):
        management.call("GET", "away", within_s=5)
    heard_nothing(listener)


def test_a_service_is_asked_for_its_health_itself(server: HTTPServer, listener: socket.socket, tmp_path: Path) -> None:
    assert Service(tmp_path, "asked", "user_service", server.server_port, {}).healthy()
    heard_nothing(listener)


@pytest.mark.parametrize(("path", "healthy"), [("/health", True), ("/ill/health", False)])
def test_so_does_the_health_check_of_compose(
    server: HTTPServer, listener: socket.socket, path: str, healthy: bool
) -> None:
    """Docker gives its containers the variables of a proxy that its own configuration names."""
    services = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]
    checks = {tuple(services[name]["healthcheck"]["test"]) for name in services if name.endswith("_service")}
    ((kind, python, *arguments),) = checks
    assert (kind, python) == ("CMD", "python")
    there = f"http://127.0.0.1:{server.server_port}{path}"
    command = [each.replace("http://127.0.0.1:8080/health", there) for each in arguments]
    assert command != arguments
    done = subprocess.run([sys.executable, *command], cwd=PROJECT, capture_output=True, timeout=30, check=False)
    assert (done.returncode == 0) is healthy, done.stderr
    heard_nothing(listener)
