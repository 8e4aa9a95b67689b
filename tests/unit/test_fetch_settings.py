"""Valid settings of downloads, and the errors of invalid ones."""

import pytest
from pydantic import ValidationError

from safelight.fetch import FetchPolicy, Proxy, check_url
from safelight.fetch.errors import UrlNotAllowed
from safelight.settings import Settings

SECRET = "g3heim"  # noqa: S105  a stand-in


def message_of(**given: str) -> str:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("", ""),
        (" ", ""),
        ("example.com", "example.com"),
        ("*.Example.COM., b.example", "example.com,b.example"),
        ("xn--bcher-kva.example,my_bucket.example", "xn--bcher-kva.example,my_bucket.example"),
        ("1.2.3.4,[2606:4700:0::1]", "1.2.3.4,2606:4700::1"),
    ],
)
def test_hosts_when_listed_then_have_one_spelling(written: str, read: str) -> None:
    settings = Settings(fetch_allow_hosts=written, fetch_deny_hosts=written)
    assert (settings.fetch_allow_hosts, settings.fetch_deny_hosts) == (read, read)


@pytest.mark.parametrize(
    "entry",
    [
        "https://example.com",
        "example.com:443",
        "example.com/x",
        "user@example.com",
        "a..example",
        "*",
        "*.",
        "a.*.example",
        "b\u00fccher.example",
        "1.2.3",
        "exa mple.com",
        "-a.example",
    ],
)
def test_hosts_when_one_is_no_host_then_the_message_names_it(entry: str) -> None:
    for field in ("fetch_allow_hosts", "fetch_deny_hosts"):
        told = message_of(**{field: f"good.example,{entry}"})
        assert field in told
        assert f"`{entry}` is no host" in told


@pytest.mark.parametrize("text", [",", "a.example,", "a.example,,b.example"])
def test_lists_when_an_entry_is_missing_then_nothing_is_opened_by_it(text: str) -> None:
    assert "between two commas" in message_of(fetch_allow_hosts=text)


def test_networks_when_listed_then_are_read() -> None:
    settings = Settings(fetch_allow_networks="10.1.0.0/16, fd12::/48,10.2.3.4")
    assert settings.fetch_allow_networks == "10.1.0.0/16,fd12::/48,10.2.3.4"


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "example.com", "10.1.0.0/16,"])
def test_networks_when_one_is_none_then_says_so(text: str) -> None:
    assert "fetch_allow_networks" in message_of(fetch_allow_networks=text)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy.corp:3128", Proxy("proxy.corp", 3128)),
        ("http://10.0.0.7:4750/", Proxy("10.0.0.7", 4750)),
        ("http://[fd12::7]:4750", Proxy("fd12::7", 4750)),
        ("http://me:p%40%3A%25@proxy.corp:3128", Proxy("proxy.corp", 3128, (b"me", b"p@:%"))),
    ],
)
def test_proxy_when_given_then_is_read(url: str, proxy: Proxy) -> None:
    settings = Settings.model_validate({"fetch_proxy": url})
    assert Proxy.parse(settings.fetch_proxy.get_secret_value()) == proxy


@pytest.mark.parametrize(
    "url",
    [
        f"https://me:{SECRET}@proxy.corp:3128",
        f"socks5://me:{SECRET}@proxy.corp:3128",
        f"http://me:{SECRET}@proxy.corp",
        f"http://me:{SECRET}@proxy.corp:0",
        f"http://me:{SECRET}@proxy.corp:99999",
        f"http://me:{SECRET}@proxy.corp:3128/path",
        f"http://me:{SECRET}@[fd12:3128",
        f"me:{SECRET}@proxy.corp:3128",
    ],
)
def test_proxy_when_it_is_none_then_says_so_without_the_password(url: str) -> None:
    told = message_of(fetch_proxy=url)
    assert "http://user:password@host:port" in told
    assert SECRET not in told


def test_proxy_when_shown_then_its_login_is_not() -> None:
    settings = Settings.model_validate({"fetch_proxy": f"http://me:{SECRET}@proxy.corp:3128"})
    policy = FetchPolicy(proxy=Proxy.parse(settings.fetch_proxy.get_secret_value()))
    assert SECRET not in f"{settings!r} {policy!r} {policy.proxy}"


def test_proxy_when_parsed_from_something_else_then_refuses() -> None:
    for url in ("https://proxy.corp:3128", "http://proxy.corp", "http://:3128"):
        with pytest.raises(ValueError, match="host:port"):
            Proxy.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://[2606:4700::1]/",
        "http://[2606:4700:0:0:0:0:0:1]/",
        "http://[2606:4700:0000::0001]/",
        "http://1.2.3.4/",
        "http://1.2.3.4./",
    ],
)
def test_policy_when_an_address_is_denied_then_no_spelling_of_it_passes(url: str) -> None:
    denied = FetchPolicy(deny_hosts=frozenset({"2606:4700::1", "1.2.3.4"}))
    with pytest.raises(UrlNotAllowed):
        check_url(url, denied)
