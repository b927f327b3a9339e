"""TLS to the broker and the databases, the same way for every program: a URL asks for it, and it is always verified.

`amqps://…` and `postgresql://…?sslmode=verify-full` ask for it; the setting that ends in `TLS_CA_FILE` names the
certificates of those who are trusted to say who a server is, in place of the system's own.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from urllib.parse import SplitResult, parse_qs, urlsplit

VERIFIED, PLAIN = "verify-full", "disable"
_OF_A_BROKER = ("cafile", "capath", "cadata", "certfile", "keyfile", "no_verify_ssl")
_HOST_MISMATCH, _TIME, _ISSUER = (62, 64), (9, 10), (2, 18, 19, 20, 21)
"""Why OpenSSL refuses a certificate: `X509_V_ERR_…`, openssl-verification-options."""


def check_broker_url(url: str) -> str:
    """The URL. Raises `ValueError` if it is none, or asks for anything but plain text or verified TLS."""
    parts = _parts(url, ("amqp", "amqps"))
    if found := [name for name in parse_qs(parts.query) if name in _OF_A_BROKER]:
        raise ValueError(f"must not say {found[0]}: TLS is always verified, by the file that TLS_CA_FILE names")
    return url


def check_database_url(url: str) -> str:
    """The URL. Raises `ValueError` if it is none, or asks for TLS that is not verified."""
    query = parse_qs(_parts(url, ("postgresql", "postgres")).query)
    mode = query.pop("sslmode", [PLAIN])[-1]
    if mode not in (VERIFIED, PLAIN):
        raise ValueError(f"must say sslmode={VERIFIED} (or {PLAIN}): with sslmode={mode} anybody could answer")
    if found := [name for name in query if name.startswith("ssl")]:
        raise ValueError(f"must not say {found[0]}: TLS is verified by the file that TLS_CA_FILE names")
    if query:
        raise ValueError(f"must not say {next(iter(query))}: of the parameters, sslmode alone is known")
    return url


def check_ca_file(ca_file: str, *urls: str) -> str:
    """The file's name. Raises `ValueError` if nobody can be verified by it, or if one of the URLs leaves TLS open."""
    if not ca_file:
        return ca_file
    try:
        ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValueError(f"{ca_file}: must be a file of certificates in PEM ({error.strerror or error})") from None
    if not any(of_broker(url, ca_file) or of_database(url, ca_file) for url in urls):
        raise ValueError(f"no URL asks for TLS: write amqps:// and sslmode={VERIFIED}, or unset it")
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme.startswith("postgres") and "sslmode" not in parse_qs(parts.query):
            raise ValueError(f"the database's URL does not say sslmode: add ?sslmode={VERIFIED}, or {PLAIN}")
    return ca_file


def of_broker(url: str, ca_file: str) -> ssl.SSLContext | None:
    """How to verify the broker; None for plain text."""
    return _context(ca_file) if urlsplit(url).scheme in ("amqps", "https") else None


def of_database(url: str, ca_file: str) -> ssl.SSLContext | bool | None:
    """What asyncpg takes as `ssl`: how to verify the database, False for plain text, None where the URL is silent."""
    mode = parse_qs(urlsplit(url).query).get("sslmode", [""])[-1]
    return _context(ca_file) if mode == VERIFIED else False if mode == PLAIN else None


def problem(error: BaseException, url_name: str, ca_name: str) -> str | None:
    """Why there is no TLS with a server and what helps, in words of the settings so named; None if it is not that."""
    cause = next((each for each in _chain(error) if isinstance(each, ssl.SSLError)), None)
    if cause is None:
        return _plain_text(str(error), url_name)
    if not isinstance(cause, ssl.SSLCertVerificationError):
        return f"no TLS ({cause.reason or cause}): check host and port in {url_name}"
    remedy = f"see {ca_name}"
    if cause.verify_code in _HOST_MISMATCH:
        remedy = f"{url_name} must name the host that the certificate is for"
    if cause.verify_code in _TIME:
        remedy = "renew the server's certificate, or correct the clock"
    if cause.verify_code in _ISSUER:
        remedy = f"{ca_name} must name the certificate of who issued the server's"
    return f"certificate refused ({cause.verify_message.rstrip('.')}): {remedy}"


def _parts(url: str, schemes: tuple[str, ...]) -> SplitResult:
    """Raises `ValueError`, which does not repeat the URL: it may hold a password."""
    try:
        parts = urlsplit(url)
        if parts.scheme in schemes and parts.hostname and (parts.port is None or parts.port > 0):
            parts.hostname.encode("idna")  # as whoever looks the name up does; UnicodeError is a ValueError
            return parts
    except ValueError:
        pass
    raise ValueError(f"must be a URL such as {schemes[0]}://user:password@host:port/name")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, each once: libraries raise errors that led to themselves."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        yield cause
        cause = cause.__cause__ or cause.__context__


def _plain_text(text: str, url_name: str) -> str | None:
    """What servers say to a client that offers TLS where there is none, or the other way round."""
    if "rejected SSL upgrade" in text:
        return f"the database has no TLS: switch it on there, or say sslmode={PLAIN} in {url_name}"
    if "no encryption" in text:
        return f"the database wants TLS: say sslmode={VERIFIED} in {url_name}"
    if "Server connection" in text:
        return f"the broker hung up before its greeting: if it wants TLS, say amqps:// in {url_name}"
    return None


def _context(ca_file: str) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=ca_file or None)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    return made
