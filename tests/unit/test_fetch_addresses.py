"""Every way to write an address that leads inside, and the ordinary ones that must go through."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from urllib.parse import quote

import pytest

from safelight.fetch import FetchPolicy, check_url
from safelight.fetch.address import Reach, reach
from safelight.fetch.errors import UrlNotAllowed
from safelight.fetch.url import follow, parse

POLICY = FetchPolicy()

PRIVATE_4 = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "198.18.0.1",
]
NEVER_4 = [
    "0.0.0.0",  # noqa: S104  an address to refuse, not to bind
    "0.1.2.3",
    "169.254.169.254",
    "169.254.0.1",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "100.100.100.200",
]
PUBLIC_4 = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "172.32.0.1", "168.63.129.17"]
BAD_4 = PRIVATE_4 + NEVER_4

BAD_6 = [
    "::",
    "::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "fc00::1",
    "fdff::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "ff02::1",
    "100::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "4000::1",
    "64:ff9b:1::1",
    "e000::1",
]
PUBLIC_6 = ["2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "2001:4860:4860::8888"]


def embeddings(text: str) -> Iterator[IPv6Address]:
    """Yield the IPv6 addresses that a network may deliver to the IPv4 address `text`."""
    number = int(IPv4Address(text))
    yield IPv6Address(number)  # compatible
    yield IPv6Address((0xFFFF << 32) | number)  # mapped
    yield IPv6Address((0xFFFF << 48) | number)  # translated
    yield IPv6Address((0x64FF9B << 96) | number)  # NAT64
    yield IPv6Address((0x2002 << 112) | (number << 80))  # 6to4
    yield IPv6Address((0x2002 << 112) | (number << 80) | 1)
    yield IPv6Address((0x20010000 << 96) | (number << 64) | 0xF7F7F7F7)  # Teredo server
    teredo_client = number ^ 0xFFFFFFFF
    yield IPv6Address((0x20010000 << 96) | (0x08080808 << 64) | teredo_client)
    yield IPv6Address((0x2606470000000000 << 64) | (0x00005EFE << 32) | number)  # ISATAP
    yield IPv6Address((0x2606470000000000 << 64) | (0x02005EFE << 32) | number)


def disguises(text: str) -> Iterator[str]:
    """Yield other spellings of an IPv4 address that one resolver or another understands."""
    number = int(IPv4Address(text))
    parts = [int(part) for part in text.split(".")]
    a, b, c, d = parts
    yield f"{number}"
    yield f"{number:#x}"
    yield f"{number:#X}"
    yield f"0{number:o}"
    yield f"0x{number:016x}"
    yield f"{number + 2**32}"
    for form in ("{:#x}", "0{:o}", "0{:03o}", "{:03d}", "0x{:02X}"):
        yield ".".join(form.format(part) for part in parts)
    yield f"{a:#x}.{b}.{c}.{d}"
    yield f"0{a:o}.{b}.{c}.{d}"
    yield f"{a}.{(b << 16) | (c << 8) | d}"
    yield f"{a}.{b}.{(c << 8) | d}"
    yield f"{a:#x}.{(b << 16) | (c << 8) | d:#x}"
    yield f"{a + 256}.{b}.{c}.{d}"
    yield text + "."
    yield text + ".."
    yield f"{number}."
    yield text.replace(".", "\u3002")
    yield text.replace(".", "\uff0e")
    yield text.replace(".", "\uff61")
    yield text.replace(".", "%2e")
    yield "".join(f"%{ord(character):02x}" for character in text)
    yield "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in text)  # full width
    yield "".join(chr(0x2460 + int(c) - 1) if c in "123456789" else c for c in text)  # circled
    yield "".join(chr(0x0660 + int(c)) if c.isdigit() else c for c in text)  # Arabic-Indic
    yield text.replace(".", ".\u200b", 1)
    yield text.replace(".", "\u00ad.", 1)
    yield text.replace(".", ".\t", 1)
    yield text.replace(".", ".\n", 1)
    yield text + " "
    yield " " + text
    yield text + "\x00"
    yield text + "%00.example.com"
    yield text + "\\.example.com"
    yield text + "%20"


def tricks(host: str) -> Iterator[str]:
    """Yield URLs whose host some parser takes for `host` and another for something harmless."""
    yield f"http://example.com@{host}/"
    yield f"http://example.com:80@{host}/"
    yield f"http://{host}@example.com/"
    yield f"http://user:password@{host}/"
    yield f"http://@{host}/"
    yield f"http://:@{host}/"
    yield f"http://example.com%40{host}/"
    yield f"http://{host}%2f@example.com/"
    yield f"http://{host}\\@example.com/"
    yield f"http://example.com\\@{host}/"
    yield f"http://example.com\\{host}/"
    yield f"http:\\\\{host}\\"
    yield f"http:/{host}/"
    yield f"http:{host}/"
    yield f"http:///{host}/"
    yield f"http:////{host}/"
    yield f"//{host}/"
    yield f"/\\{host}/"
    yield f"{host}/"
    yield f"http://{host}:80:80/"
    yield f"http://{host}:80\t/"
    yield f"ht\ttp://{host}/"
    yield f"http://{host}#@example.com/"
    yield f"http://{host}?@example.com/"
    yield f"http://{host};example.com/"
    yield f"http://[{host}]/"
    yield f"http://[::ffff:{host}]/"
    yield f"http://[::{host}]/"
    yield f"http://[64:ff9b::{host}]/"
    yield f"http://[::ffff:{host}%25eth0]/"
    yield f"HTTP://{host}/"
    yield f"https://{host}/"
    yield f"http://{host}:8080/"
    yield f"\thttp://{host}/"
    yield f" http://{host}/"
    yield f"\ufeffhttp://{host}/"
    yield f"url:http://{host}/"
    for scheme in ("ftp", "file", "gopher", "dict", "ldap", "ws", "data", "jar", "netdoc"):
        yield f"{scheme}://{host}/"


BAD_URLS = sorted(
    {f"http://{host}/x.png" for host in BAD_4}
    | {f"http://[{host}]/x.png" for host in BAD_6}
    | {f"http://[{IPv6Address(host).exploded}]/" for host in BAD_6}
    | {f"http://[{inner}]/" for host in BAD_4 for inner in embeddings(host)}
    | {f"http://{spelling}/" for host in BAD_4 for spelling in disguises(host)}
    | {url for host in ("127.0.0.1", "169.254.169.254", "10.0.0.1") for url in tricks(host)}
)

BAD_SHAPES = [
    "",
    "x",
    "http",
    "http:",
    "http://",
    "http:///",
    "http://?",
    "http://#",
    "http://:80/",
    "http://./",
    "http://../",
    "http://.example.com/",
    "http://example..com/",
    "http://-example.com/",
    "http://example-.com/",
    "http://exa mple.com/",
    "http://exa%6dple.com/",
    "http://example.com:/x y\n",
    "http://example.com:0/",
    "http://example.com:22/",
    "http://example.com:25/",
    "http://example.com:6379/",
    "http://example.com:65536/",
    "http://example.com:99999999/",
    "http://example.com:-80/",
    "http://example.com:+80/",
    "http://example.com: 80/",
    "http://example.com:8_0/",
    "http://example.com:0x50/",
    "http://example.com:\uff18\uff10/",
    "http://example.com:80abc/",
    "http://[::1/",
    "http://::1/",
    "http://[]/",
    "http://[v1.x]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[1::2::3]/",
    "http://localhost/",
    "http://LOCALHOST/",
    "http://localhost./",
    "http://a.localhost/",
    "http://printer.local/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://router.lan/",
    "http://nas.home.arpa/",
    "http://1.2.3.4.5/",
    "http://example.1/",
    "http://example.0x1/",
    "http://" + "a" * 64 + ".com/",
    "http://" + "a." * 130 + "com/",
    "http://example.com/" + "a" * 5000,
    "https://example.com/\r\nHost: evil",
    "https://example.com/\u2028",
    "https://ex\u200dample.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:image/png;base64,AAAA",
]

# Narrow no-break, ideographic and no-break space, ZWNJ, soft hyphen, right-to-left mark, an
# unassigned letter.
INVISIBLE = "\u202f\u3000\u00a0\u200c\u00ad\u200f\u0378"

GOOD_URLS = [
    "http://example.com",
    "https://example.com/",
    "HTTPS://Example.COM/A.PNG",
    "https://example.com./x.png",
    "https://example.com:443/x.png",
    "https://example.com:8443/x.png",
    "http://example.com:8080/a/b/c.jpg?x=1&y=2#z",
    "https://example.com/?url=http://127.0.0.1/",
    "https://example.com/@user/x.png",
    "https://example.com/a%20b%2fc.png",
    "https://example.com/a b.png",
    "https://example.com/\u00fcber/\u732b.png",
    *[f"https://example.com/a{letter}b.png?x={letter}#{letter}" for letter in INVISIBLE],
    "https://b\u00fccher.example/x.png",
    "https://xn--bcher-kva.example/x.png",
    "https://my_bucket.s3.amazonaws.com/x.png",
    "https://a--b.example.com/",
    "https://127.0.0.1.example.com/",
    "https://localhost.example.com/",
    "https://mylocal/",
    *[f"http://{address}/x.png" for address in PUBLIC_4],
    *[f"http://[{address}]/x.png" for address in PUBLIC_6],
    "http://[64:ff9b::8.8.8.8]/x.png",
    "http://[::ffff:8.8.8.8]/x.png",
]


def allowed(url: str, policy: FetchPolicy = POLICY) -> bool:
    try:
        check_url(url, policy)
    except UrlNotAllowed:
        return False
    return True


def refused(url: str) -> UrlNotAllowed:
    with pytest.raises(UrlNotAllowed) as caught:
        check_url(url, POLICY)
    return caught.value


def test_the_generated_forms_are_many() -> None:
    assert len(BAD_URLS) > 1000


def test_check_url_when_the_address_is_dangerous_then_refuses_every_form() -> None:
    assert [url for url in BAD_URLS if allowed(url)] == []


@pytest.mark.parametrize("url", BAD_SHAPES)
def test_check_url_when_malformed_or_local_then_refuses(url: str) -> None:
    assert not allowed(url)


@pytest.mark.parametrize("url", GOOD_URLS)
def test_check_url_when_ordinary_then_accepts(url: str) -> None:
    assert allowed(url)


@pytest.mark.parametrize(
    ("url", "reason", "words"),
    [
        ("ftp://example.com/a.png", "scheme", "http://"),
        ("example.com/a.png", "scheme", "https://"),
        ("http://user:password@example.com/", "credentials", "password"),
        ("http://example.com:3000/", "port", "add 3000 to SAFELIGHT_FETCH_PORTS."),
        (
            "http://localhost:3000/hook",
            "port",
            "FETCH_PORTS and add 127.0.0.0/8,::1/128 to SAFELIGHT_FETCH_ALLOW_NETWORKS.",
        ),
        ("http://127.0.0.1/", "private", "add 127.0.0.0/8,::1/128 to SAFELIGHT_FETCH_ALLOW"),
        ("http://10.1.2.3/", "private", "add 10.1.2.3/32 to SAFELIGHT_FETCH_ALLOW_NETWORKS"),
        ("http://printer.local/", "private", "SAFELIGHT_FETCH_ALLOW_NETWORKS"),
        ("http://169.254.169.254/", "reserved", "no setting allows"),
        ("http://exa mple.com/", "malformed", "malformed"),
        ("http://2130706433/", "malformed", "malformed"),
    ],
)
def test_check_url_when_refused_then_says_why_and_what_allows_it(
    url: str, reason: str, words: str
) -> None:
    error = refused(url)
    assert error.extra["reason"] == reason
    assert words in error.detail
    assert "download" not in error.detail  # webhooks are refused by the same rules


def test_check_url_when_no_setting_helps_then_names_none() -> None:
    assert "SAFELIGHT" not in refused("http://169.254.169.254:3000/").detail


@pytest.mark.parametrize("letter", INVISIBLE)
def test_follow_when_a_redirect_has_invisible_letters_then_encodes_them(letter: str) -> None:
    target = follow(parse("https://example.com/a", POLICY), f"/b{letter}c.png", POLICY)
    assert str(target) == f"https://example.com/b{quote(letter)}c.png"


def test_reach_when_an_address_embeds_a_bad_one_then_is_never_public() -> None:
    leaks = [
        (text, str(outer))
        for text in BAD_4
        for outer in embeddings(text)
        if reach(outer) is Reach.PUBLIC
    ]
    assert leaks == []


@pytest.mark.parametrize("text", PUBLIC_4 + PUBLIC_6)
def test_reach_when_public_then_says_so(text: str) -> None:
    assert reach(ip_address(text)) is Reach.PUBLIC


def test_policy_when_private_is_allowed_then_metadata_and_multicast_stay_shut() -> None:
    policy = FetchPolicy(allow_private=True)
    assert [text for text in PRIVATE_4 if not allowed(f"http://{text}/", policy)] == []
    assert [text for text in NEVER_4 if allowed(f"http://{text}/", policy)] == []
    assert allowed("http://[::1]/", policy)
    assert allowed("http://localhost/", policy)
    assert not allowed("http://[fd00:ec2::254]/", policy)


def test_policy_when_one_network_is_allowed_then_its_neighbours_are_not() -> None:
    policy = FetchPolicy(allow_networks=(IPv4Network("10.1.0.0/16"),))
    assert allowed("http://10.1.2.3/", policy)
    assert not allowed("http://10.2.0.1/", policy)


def test_policy_when_a_host_is_denied_then_so_is_everything_below_it() -> None:
    policy = FetchPolicy(deny_hosts=frozenset({"evil.example"}))
    assert not allowed("https://evil.example/", policy)
    assert not allowed("https://cdn.EVIL.example./", policy)
    assert allowed("https://notevil.example/", policy)


def test_policy_when_hosts_are_listed_then_only_those_pass() -> None:
    policy = FetchPolicy(allow_hosts=frozenset({"good.example"}))
    assert allowed("https://img.good.example/", policy)
    assert not allowed("https://example.com/", policy)


def test_policy_when_own_files_are_named_then_they_pass_and_nothing_beside_them() -> None:
    policy = FetchPolicy(own_files="http://127.0.0.1:8765/files/")
    assert allowed("http://127.0.0.1:8765/files/images/job_01m8/k3v9.png", policy)
    for url in (
        "http://127.0.0.1:8765/metrics",
        "http://127.0.0.1:8765/files/../metrics",
        "http://127.0.0.1:8765/files/images/../../metrics.txt",
        "http://127.0.0.1:8765/files/%2e%2e/metrics",
        "http://127.0.0.1:8765/files/a.png?x=/../",
        "http://127.0.0.1:8766/files/images/a.png",
        "http://127.0.0.1:8765@evil.example/files/a.png",
        "http://localhost:8765/files/images/a.png",
        "https://127.0.0.1:8765/files/images/a.png",
    ):
        assert not allowed(url, policy), url
    assert not policy.is_own_server("evil.example", 8765)


def test_policy_when_own_files_have_a_name_then_nothing_else_of_that_host_passes() -> None:
    policy = FetchPolicy(own_files="https://img.corp.example/files/")
    assert allowed("https://img.corp.example/files/images/job_01m8/k3v9.png", policy)
    for url in (
        "https://img.corp.example/metrics",
        "https://IMG.corp.example/metrics",
        "https://img.corp.example./metrics",
        "https://img.corp.example:443/v1/admin",
        "https://img.corp.example/files/../metrics",
    ):
        assert not allowed(url, policy), url
    assert allowed("https://img.corp.example:8443/x.png", policy)  # judged by its address
