"""RabbitMQ's management HTTP API, as far as provisioning needs it."""

from __future__ import annotations

import base64
import json
import time
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request

from holdfast.tls import of_broker
from provision.direct import open_directly

CALL_S_MAX = 120.0
"""A busy cluster takes its time to make a virtual host or a quorum queue."""
READY_S_MAX = 15.0


class ManagementError(RuntimeError):
    """The API refused, and what it said."""


class Management:
    """The API at a URL that carries an administrator's name and password: http://admin:password@127.0.0.1:15672.

    `ca_file`: by which an https:// URL is verified, if not by what the system trusts.
    """

    def __init__(self, url: str, ca_file: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.username:
            raise ValueError("the management URL must look like http://user:password@host:port")
        port = f":{parts.port}" if parts.port else ""
        self._tls = of_broker(url, ca_file)
        self.user = unquote(parts.username)
        self.base = f"{parts.scheme}://{parts.hostname}{port}{parts.path.rstrip('/')}/api"
        login = f"{self.user}:{unquote(parts.password or '')}"
        self._login = "Basic " + base64.b64encode(login.encode()).decode()

    def call(
        self, method: str, *path: str, body: object = None, missing_ok: bool = False, within_s: float = CALL_S_MAX
    ) -> Any:
        """The decoded answer (None if it is empty), within so many seconds.

        Raises `ManagementError` if the API refuses, `OSError` if it does not answer.
        """
        url = "/".join([self.base, *(quote(step, safe="") for step in path)])
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": self._login, "Content-Type": "application/json"}
        request = Request(url, data, headers, method=method)
        try:
            with open_directly(request, within_s, self._tls) as answer:
                text = answer.read()
        except HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")[:500]
            if error.code == 404 and missing_ok:
                return None
            raise ManagementError(f"{method} {'/'.join(path)}: {error.code} {said}") from None
        return json.loads(text) if text else None

    def ready(self, amqp_port: int | None = None) -> str | None:
        """None if the broker answers this login, has no alarm, and listens on `amqp_port`; otherwise what is missing.

        The API answers a little before the broker takes AMQP connections.
        """
        try:
            self.call("GET", "health", "checks", "alarms", within_s=READY_S_MAX)
            if amqp_port:
                self.call("GET", "health", "checks", "port-listener", str(amqp_port), within_s=READY_S_MAX)
        except (ManagementError, URLError, HTTPException, OSError, ValueError) as error:
            return str(error)
        return None

    def wait_ready(self, wait_s: float) -> None:
        """Return once the broker is ready. Raises `TimeoutError`, which says what was missing, after `wait_s`."""
        end = time.monotonic() + wait_s
        while problem := self.ready():
            if time.monotonic() > end:
                raise TimeoutError(f"the broker's management API at {self.base} is not ready: {problem}")
            time.sleep(0.2)
