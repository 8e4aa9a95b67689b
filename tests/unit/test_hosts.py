"""Names and origins of a server: its own are known, those that a stranger can choose are not."""

import pytest

from safelight.web.hosts import Hosts

PUBLIC = Hosts("https://media.example.com/safelight", frozenset({"media.lan"}))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8765",
        "localhost:9000",  # ssh -L on another port
        "LOCALHOST",
        "app.localhost:8765",
        "[::1]:8765",
        "192.168.1.20:8765",  # an address cannot be rebound
        "media.example.com",
        "media.example.com.:443",
        "media.lan:8765",
        "a.media.lan",
    ],
)
def test_host_when_it_is_the_server_s_own_is_known(host: str) -> None:
    assert PUBLIC.knows(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8765",
        "example.com",
        "media.example.com.evil.example",
        "notmedia.lan",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "[::1",
        "",
    ],
)
def test_host_when_a_stranger_chose_it_is_unknown(host: str) -> None:
    assert not PUBLIC.knows(host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://media.example.com", "127.0.0.1:8765"),  # a proxy that sends another Host
        ("https://media.example.com:443", "backend"),
        ("https://media.example.com", "media.example.com"),
        ("http://localhost:9000", "localhost:9000"),
        ("http://localhost:8765", "127.0.0.1:8765"),
        ("http://media.lan:8765", "127.0.0.1:8765"),
        ("http://[::1]:8765", "[::1]:8765"),
    ],
)
def test_origin_when_it_is_the_server_s_own_page_is_taken(origin: str, host: str) -> None:
    assert PUBLIC.is_own_origin(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "127.0.0.1:8765"),
        ("http://media.example.com", "127.0.0.1:8765"),
        ("https://media.example.com:8443", "127.0.0.1:8765"),
        ("http://localhost:3000", "localhost:8765"),  # another program of this machine
        ("http://127.0.0.1:3000", "127.0.0.1:8765"),
        ("http://media.lan:3000", "127.0.0.1:8765"),
        ("null", "127.0.0.1:8765"),
        ("", "127.0.0.1:8765"),
        ("http://[::1", "127.0.0.1:8765"),
        ("http://localhost:x", "localhost:x"),
    ],
)
def test_origin_when_it_is_another_site_s_is_refused(origin: str, host: str) -> None:
    assert not PUBLIC.is_own_origin(origin, host)


@pytest.mark.parametrize(
    ("public_url", "listens_on", "local"),
    [
        ("", "127.0.0.1", True),
        ("", "localhost", True),
        ("", "::1", True),
        ("", "0.0.0.0", False),  # noqa: S104  nothing is bound
        ("", "::", False),
        ("https://media.example.com", "127.0.0.1", False),
    ],
)
def test_server_when_only_this_machine_can_connect_is_local(
    public_url: str, listens_on: str, local: bool
) -> None:
    assert Hosts(public_url, listens_on=listens_on).is_local is local
