"""HTTP to a server of our own: through no proxy, and to no other address than the one that was asked for."""

from __future__ import annotations

import ssl
from http.client import HTTPResponse
from typing import Any
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener


def open_directly(request: Request | str, within_s: float, tls: ssl.SSLContext | None = None) -> HTTPResponse:
    """The answer, once its head is there; it is to be closed. `tls`: how an https:// server is verified.

    Proxies that the environment names are not asked: they would be told the password, and do not reach loopback. Raises
    `HTTPError` for a status that is no success, a redirection too, and `OSError` if there is no answer.
    """
    handlers = [ProxyHandler({}), _NoRedirection(), *([HTTPSHandler(context=tls)] if tls else [])]
    answer: HTTPResponse = build_opener(*handlers).open(request, timeout=within_s)
    return answer


class _NoRedirection(HTTPRedirectHandler):
    """urllib would tell the password at the new address."""

    def redirect_request(self, *_: Any) -> None:
        return None
