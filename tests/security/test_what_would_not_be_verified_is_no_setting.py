"""A setting that asks for TLS without verifying, or for less than it seems to, ends the service with what to write."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

import user_service.settings
from client.errors import NotConfigured
from client.settings import Settings
from holdfast.delivery.settings import read_settings

AMQP, DATABASE, CA = "USER_SERVICE_AMQP_URL", "USER_SERVICE_DATABASE_URL", "USER_SERVICE_TLS_CA_FILE"
RIGHT = {AMQP: "amqps://u:p@h/v", DATABASE: "postgresql://u:p@h/d?sslmode=verify-full"}
NEVER: dict[str, tuple[dict[str, str], str]] = {
    "a CA file that is not there": ({CA: "/nowhere/ca.pem"}, f"{CA}: Value error, /nowhere/ca.pem: must be a file of"),
    "a CA file that holds none": ({CA: __file__}, f"{CA}: Value error, {__file__}: must be a file of certificates"),
    "a broker not verified": (
        {AMQP: "amqps://h/v?no_verify_ssl=1"},
        f"{AMQP}: Value error, must not say no_verify_ssl",
    ),
    "another file for the broker": ({AMQP: "amqps://h/v?cafile=x"}, f"{AMQP}: Value error, must not say cafile"),
    "another scheme": (
        {AMQP: "http://h/v"},
        f"{AMQP}: Value error, must be a URL such as amqp://user:password@host:port/name",
    ),
    "no number for a port": ({AMQP: "amqp://u:p@h:one/v"}, f"{AMQP}: Value error, must be a URL such as amqp://user"),
    "no host": ({AMQP: "amqp://u:p@a..b/v"}, f"{AMQP}: Value error, must be a URL such as amqp://user"),
    "no database": ({DATABASE: "users"}, f"{DATABASE}: Value error, must be a URL such as postgresql://user:password"),
    "a parameter that nobody knows": (
        {DATABASE: "postgresql://u:p@h/d?host=elsewhere"},
        f"{DATABASE}: Value error, must not say host: of the parameters, sslmode alone is known",
    ),
    "a database not verified": (
        {DATABASE: "postgresql://h/d?sslmode=require"},
        f"{DATABASE}: Value error, must say sslmode=verify-full (or disable)",
    ),
    "a database that may fall back": (
        {DATABASE: "postgresql://h/d?sslmode=prefer"},
        f"{DATABASE}: Value error, must say sslmode=verify-full (or disable)",
    ),
    "another file for the database": (
        {DATABASE: "postgresql://h/d?sslmode=verify-full&sslrootcert=x"},
        f"{DATABASE}: Value error, must not say sslrootcert",
    ),
    "a CA file for nothing": (
        {AMQP: "amqp://h/v", DATABASE: "postgresql://h/d?sslmode=disable", CA: "{ca}"},
        f"{CA}: Value error, no URL asks for TLS: write amqps:// and sslmode=verify-full",
    ),
    "a database that is left open": (
        {DATABASE: "postgresql://h/d", CA: "{ca}"},
        f"{CA}: Value error, the database's URL does not say sslmode: add ?sslmode=verify-full",
    ),
}


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The certificate of some authority."""
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    return str(file)


@pytest.mark.parametrize("name", NEVER)
def test_a_service_does_not_start_with_it(
    name: str, ca_file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed, reason = NEVER[name]
    for variable, value in {**RIGHT, **changed}.items():
        monkeypatch.setenv(variable, value.format(ca=ca_file))
    with pytest.raises(SystemExit) as ended:
        read_settings(user_service.settings.Settings)
    assert ended.value.code == 2
    assert f"environment variable {reason}" in capsys.readouterr().err


def test_the_command_line_does_not_either(ca_file: str, tmp_path: Path) -> None:
    url, audit_url = "amqps://u:p@h/v", "postgresql://u:p@h/{service}?sslmode=verify-full"
    good = {"amqp_url": url, "operator_amqp_url": url, "audit_database_url": audit_url, "tls_ca_file": ca_file}
    assert Settings(**good).required("amqp_url") == url
    wrong: tuple[tuple[dict[str, str], str, str], ...] = (
        (
            {"tls_ca_file": str(tmp_path / "none")},
            "amqp_url",
            "HOLDFAST_TLS_CA_FILE: .*: must be a file of certificates",
        ),
        ({"amqp_url": url + "?no_verify_ssl=1"}, "amqp_url", "HOLDFAST_AMQP_URL must not say no_verify_ssl"),
        ({"audit_database_url": audit_url.replace("verify-full", "require")}, "audit_database_url", "must say sslmode"),
        ({"audit_database_url": audit_url.partition("?")[0]}, "audit_database_url", "does not say sslmode"),
    )
    for changed, name, reason in wrong:
        with pytest.raises(NotConfigured, match=reason):
            Settings(**{**good, **changed}).required(name)
