"""Which proxy and which authorities calls to trusted servers take from the environment."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from safelight.fetch import trust
from safelight.fetch.environment import EnvironmentProxies
from safelight.fetch.proxy import Proxy

VARIABLES = [
    name
    for word in ("http", "https", "all", "no")
    for name in (f"{word}_proxy", f"{word.upper()}_PROXY")
]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [*VARIABLES, "SSL_CERT_FILE", "SSL_CERT_DIR"]:
        monkeypatch.delenv(name, raising=False)
    trust.environment.cache_clear()
    yield
    trust.environment.cache_clear()


def proxy_of(url: str) -> Proxy | None:
    return EnvironmentProxies().proxy_for(url)


def test_proxy_when_no_variable_names_one_is_none() -> None:
    assert proxy_of("https://api.vendor.test/v1") is None


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("HTTPS_PROXY", "https://api.vendor.test/v1"),
        ("https_proxy", "https://api.vendor.test/v1"),
        ("HTTP_PROXY", "http://api.vendor.test/v1"),
        ("ALL_PROXY", "https://api.vendor.test/v1"),
    ],
)
def test_proxy_when_a_variable_names_one_is_that(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://me:p%40ss@proxy.test:3128")
    assert proxy_of(url) == Proxy("proxy.test", 3128, (b"me", b"p@ss"))


def test_proxy_when_it_is_for_the_other_scheme_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    assert proxy_of("https://api.vendor.test/v1") is None


def test_proxy_when_scheme_and_port_are_left_out_has_the_usual(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.test")
    assert proxy_of("https://api.vendor.test/") == Proxy("proxy.test", 80)


def test_proxy_when_it_is_not_http_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.test:1080")
    with pytest.raises(ValueError, match="http://"):
        EnvironmentProxies()


@pytest.mark.parametrize(
    ("exempt", "is_exempt"),
    [
        ("*", True),
        ("vendor.test", True),
        (".vendor.test", True),
        ("*.vendor.test", True),
        ("VENDOR.test, other.test", True),
        ("api.vendor.test:8443", True),
        ("api.vendor.test:443", False),
        ("endor.test", False),
        ("other.test,", False),
    ],
)
def test_proxy_when_the_host_is_exempt_is_none(
    exempt: str, is_exempt: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", exempt)
    assert (proxy_of("https://api.vendor.test:8443/v1") is None) is is_exempt


@pytest.mark.parametrize(
    ("host", "is_exempt"), [("10.1.2.3", True), ("[fd00::1]", True), ("11.1.2.3", False)]
)
def test_proxy_when_a_network_is_exempt_is_none_for_its_addresses(
    host: str, is_exempt: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,fd00::/8")
    assert (proxy_of(f"http://{host}/") is None) is is_exempt


def test_trust_when_a_variable_names_a_file_is_that_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert len(trust.environment().get_ca_certs()) == 1
    assert trust.system() is not trust.environment()


def test_trust_when_no_variable_is_set_is_the_systems() -> None:
    assert trust.environment() is trust.system()
