"""Downloads and messages through an egress proxy: a real small one on the loopback."""

import asyncio
import base64
import logging
import socket
import ssl
import time
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import trustme

from safelight.app import open_safelight
from safelight.fetch import Fetcher, Poster, Proxy
from safelight.fetch.errors import FetchError, FetchRefused, FetchTimeout, UrlNotAllowed
from safelight.providers.provider import Done, Kind, ProviderRequest
from safelight.settings import Settings
from tests import pictures
from tests.egress import EgressProxy, proxying
from tests.sites import PICTURE, Answer, Site, StubResolver, policy_for, redirect, respond, running

PUBLIC = "93.184.216.34"  # no socket of a test can get there: every connection came by the proxy
LOGIN = (b"me", b"g3heim@:%")
SECRETS = ("g3heim", base64.b64encode(b":".join(LOGIN)).decode())


class AnyName(StubResolver):
    """Knows every name that a test does not give an address as one on the public internet."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.rounds.setdefault(host, [[PUBLIC]])
        return await super().resolve(host, port)


class NoNames:
    """A resolver of a network that leaves names to its proxy."""

    def __init__(self, error: OSError | None) -> None:
        self._error = error

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        if self._error is not None:
            raise self._error
        await asyncio.Event().wait()
        return []


def fetcher_by(
    proxy: EgressProxy,
    site: Site,
    resolver: StubResolver | NoNames | None = None,
    tls: ssl.SSLContext | None = None,
    login: tuple[bytes, bytes] | None = None,
    **changes: Any,
) -> Fetcher:
    way = Proxy("127.0.0.1", proxy.port, login)
    policy = policy_for(site, **({"allow_networks": (), "proxy": way} | changes))
    plain = tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return Fetcher(policy, resolver or AnyName(), tls=plain)


def certified(name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's TLS with a certificate for `name`, and a client's that trusts it."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


# --- the way out ------------------------------------------------------------------------------


async def test_download_when_http_then_asks_the_proxy_in_absolute_form(tmp_path: Path) -> None:
    async with (
        running({"/x": respond()}) as site,
        proxying() as proxy,
        fetcher_by(proxy, site) as fetcher,
    ):
        fetched = await fetcher.download(site.url("/x?y=1"), to=tmp_path / "f")
    assert fetched.path.read_bytes() == PICTURE
    assert fetched.final_url == site.url("/x?y=1")
    assert proxy.heads[0].startswith(f"GET http://good.example:{site.port}/x?y=1 HTTP/1.1\r\n")
    assert f"Host: good.example:{site.port}\r\n" in proxy.heads[0]
    assert site.requests[0].startswith("GET /x?y=1 HTTP/1.1\r\n")


async def test_download_when_https_then_tunnels_and_verifies_the_name(tmp_path: Path) -> None:
    server, client = certified("good.example")
    async with (
        running({"/x": respond()}, server) as site,
        proxying() as proxy,
        fetcher_by(proxy, site, tls=client) as fetcher,
    ):
        fetched = await fetcher.download(site.url("/x", scheme="https"), to=tmp_path / "f")
        with pytest.raises(FetchError):
            await fetcher.download(site.url("/x", "other.example", "https"), to=tmp_path / "g")
    assert fetched.bytes == len(PICTURE)
    assert proxy.targets == [f"good.example:{site.port}", f"other.example:{site.port}"]
    assert all(head.startswith("CONNECT ") for head in proxy.heads)
    assert len(site.requests) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_download_when_the_host_is_an_ipv6_address_then_spells_it_right(
    scheme: str, tmp_path: Path
) -> None:
    server, client = certified("2606:4700::1")
    async with (
        running({"/x": respond()}, server if scheme == "https" else None) as site,
        proxying() as proxy,
        fetcher_by(proxy, site, tls=client) as fetcher,
    ):
        url = site.url("/x", "[2606:4700::1]", scheme)
        fetched = await fetcher.download(url, to=tmp_path / "f")
    assert fetched.bytes == len(PICTURE)
    assert proxy.targets == [url if scheme == "http" else f"[2606:4700::1]:{site.port}"]


async def test_download_when_redirected_then_every_hop_goes_by_the_proxy(tmp_path: Path) -> None:
    answers: dict[str, Answer] = {"/there": respond()}
    async with (
        running(answers) as site,
        proxying() as proxy,
        fetcher_by(proxy, site) as fetcher,
    ):
        answers["/x"] = redirect(site.url("/there", "other.example"))
        await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert proxy.targets == [site.url("/x"), site.url("/there", "other.example")]


async def test_post_when_there_is_a_proxy_then_goes_by_it() -> None:
    async with running({"/hook": respond(b"thanks")}) as site, proxying() as proxy:
        way = Proxy("127.0.0.1", proxy.port)
        async with Poster(policy_for(site, allow_networks=(), proxy=way), AnyName()) as poster:
            posted = await poster.post(site.url("/hook"), b"{}", {"X-Sign": "abc"})
            with pytest.raises(UrlNotAllowed):
                await poster.post("http://10.0.0.1/hook", b"{}", {})
    assert (posted.status, posted.text) == (200, "thanks")
    assert proxy.targets == [site.url("/hook")]
    assert "X-Sign: abc\r\n" in site.requests[0]


class Unheard:
    """An attempt whose progress nobody wants to hear."""

    id = "att_1"
    callback_url: str | None = None
    news: bytes | None = None

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        return None


async def test_settings_when_they_name_a_proxy_then_imports_go_by_it(tmp_path: Path) -> None:
    picture = pictures.picture()
    async with running({"/x": respond(picture)}) as site, proxying(login=LOGIN) as proxy:
        settings = Settings.model_validate(
            {
                "data_dir": tmp_path / "data",
                "fetch_ports": str(site.port),
                "fetch_proxy": f"http://me:g3heim%40%3A%25@127.0.0.1:{proxy.port}",
            }
        )
        url = site.url("/x", PUBLIC)
        request = ProviderRequest(
            kind=Kind.IMPORT_IMAGE,
            model="link",
            prompt="",
            params={},
            inputs=(),
            folder=tmp_path / "scratch",
            source_url=url,
        )
        async with open_safelight(settings) as safelight:
            done = await safelight.services.registry.provider("link").start(request, Unheard())
    assert isinstance(done, Done)
    assert done.outputs[0].path.read_bytes() == picture
    assert proxy.targets == [url]


async def test_download_when_the_environment_names_a_proxy_then_ignores_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running({"/x": respond()}) as site, proxying() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        async with Fetcher(policy_for(site), StubResolver(), tls=tls) as fetcher:
            await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert proxy.heads == []
    assert len(site.requests) == 1


async def test_download_when_it_is_an_own_file_then_goes_straight(tmp_path: Path) -> None:
    async with running({"/files/images/a.png": respond()}) as site, proxying() as proxy:
        own = f"http://127.0.0.1:{site.port}/files/"
        async with fetcher_by(proxy, site, own_files=own) as fetcher:
            fetched = await fetcher.download(f"{own}images/a.png", to=tmp_path / "f")
            with pytest.raises(UrlNotAllowed):
                await fetcher.download(site.url("/metrics", "127.0.0.1"), to=tmp_path / "g")
    assert fetched.bytes == len(PICTURE)
    assert proxy.heads == []


# --- the guards stay --------------------------------------------------------------------------

INSIDE = [
    "http://127.0.0.1/",
    "http://[::1]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:10.0.0.1]/",
    "http://0x7f.1/",
    "http://localhost/",
    "http://printer.local/",
    "http://user@good.example/",
    "http://good.example:22/",
    "https://denied.example/",
    "http://inner.example/",
    "https://inner.example/",
    "http://mixed.example/",
    "ftp://good.example/",
]


@pytest.mark.parametrize("hops", [0, 1])
@pytest.mark.parametrize("url", INSIDE)
async def test_download_when_it_leads_inside_then_the_proxy_is_not_asked(
    url: str, hops: int, tmp_path: Path
) -> None:
    resolver = AnyName(
        {"inner.example": [["10.0.0.1"]], "mixed.example": [[PUBLIC, "169.254.169.254"]]}
    )
    async with running({"/x": redirect(url)}) as site, proxying() as proxy:
        ports = frozenset({site.port, 80, 443})
        denied = frozenset({"denied.example"})
        async with fetcher_by(proxy, site, resolver, ports=ports, deny_hosts=denied) as fetcher:
            with pytest.raises(UrlNotAllowed):
                await fetcher.download(site.url("/x") if hops else url, to=tmp_path / "f")
    assert len(proxy.heads) == hops


async def test_download_when_the_name_rebinds_then_each_request_is_judged(tmp_path: Path) -> None:
    resolver = StubResolver({"good.example": [[PUBLIC], ["10.0.0.1"]]})
    async with (
        running({"/x": redirect("/there"), "/there": respond()}) as site,
        proxying() as proxy,
        fetcher_by(proxy, site, resolver) as fetcher,
    ):
        with pytest.raises(UrlNotAllowed):
            await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert proxy.targets == [site.url("/x")]


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "no such name"),
        socket.gaierror(socket.EAI_AGAIN, "no resolver"),
        OSError("no network"),
        None,  # never answers
    ],
)
async def test_download_when_the_name_is_unknown_here_then_is_left_to_the_proxy(
    error: OSError | None, tmp_path: Path
) -> None:
    async with (
        running({"/x": respond()}) as site,
        proxying() as proxy,
        fetcher_by(proxy, site, NoNames(error), connect_s=0.2) as fetcher,
    ):
        fetched = await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert fetched.bytes == len(PICTURE)


async def test_download_when_a_network_is_open_then_that_goes_by_the_proxy_too(
    tmp_path: Path,
) -> None:
    resolver = StubResolver({"near.example": [["10.1.0.1"]]})
    async with (
        running({"/x": respond()}) as site,
        proxying() as proxy,
        fetcher_by(proxy, site, resolver, allow_networks=(ip_network("10.1.0.0/16"),)) as fetcher,
    ):
        await fetcher.download(site.url("/x", "near.example"), to=tmp_path / "f")
    assert proxy.targets == [site.url("/x", "near.example")]


# --- the login --------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_download_when_the_proxy_wants_a_login_then_only_it_gets_that(
    scheme: str, tmp_path: Path
) -> None:
    server, client = certified("good.example")
    async with (
        running({"/x": respond()}, server if scheme == "https" else None) as site,
        proxying(login=LOGIN) as proxy,
        fetcher_by(proxy, site, tls=client, login=LOGIN) as fetcher,
    ):
        fetched = await fetcher.download(site.url("/x", scheme=scheme), to=tmp_path / "f")
    assert fetched.bytes == len(PICTURE)
    assert "Proxy-Authorization: Basic " in proxy.heads[0]
    assert "authorization" not in "".join(site.requests).lower()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_download_when_the_login_is_wrong_then_nothing_tells_it(
    scheme: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        running({"/x": respond()}) as site,
        proxying(login=(b"you", b"other")) as proxy,
        fetcher_by(proxy, site, login=LOGIN) as fetcher,
    ):
        with pytest.raises(FetchRefused) as caught:
            await fetcher.download(site.url("/x", scheme=scheme), to=tmp_path / "f")
    assert site.requests == []
    assert any(secret in proxy.heads[0] for secret in SECRETS)  # so the look below can find it
    error = caught.value
    shown = f"{error!r} {error.problem()} {error.__cause__!r} {error.__context__!r} {fetcher!r}"
    shown += caplog.text + "".join(capsys.readouterr())
    assert [secret for secret in SECRETS if secret in shown] == []


# --- a proxy in trouble -----------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_download_when_the_proxy_is_down_then_fails_for_now(
    scheme: str, tmp_path: Path
) -> None:
    async with running({"/x": respond()}) as site:
        async with proxying() as proxy:
            pass
        began = time.perf_counter()
        async with fetcher_by(proxy, site, login=LOGIN) as fetcher:
            with pytest.raises(FetchError) as caught:
                await fetcher.download(site.url("/x", scheme=scheme), to=tmp_path / "f")
    assert type(caught.value) is FetchError
    assert time.perf_counter() - began < 2
    assert site.connections == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("limits", [{"idle_s": 0.2}, {"total_s": 0.2}])
async def test_download_when_the_proxy_is_silent_then_the_deadlines_hold(
    scheme: str, limits: dict[str, Any], tmp_path: Path
) -> None:
    async with (
        running({"/x": respond()}) as site,
        proxying(silent=True) as proxy,
        fetcher_by(proxy, site, **limits) as fetcher,
    ):
        began = time.perf_counter()
        with pytest.raises(FetchTimeout):
            await fetcher.download(site.url("/x", scheme=scheme), to=tmp_path / "f")
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        ("403 Forbidden", FetchRefused),
        ("407 Who Are You", FetchRefused),
        ("502 Bad Gateway", FetchError),
        ("503 No", FetchError),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_download_when_the_proxy_refuses_then_only_a_passing_fault_is_tried_again(
    scheme: str, refusal: str, kind: type[FetchError], tmp_path: Path
) -> None:
    async with (
        running({"/x": respond()}) as site,
        proxying(refusal=refusal) as proxy,
        fetcher_by(proxy, site) as fetcher,
    ):
        with pytest.raises(FetchError) as caught:
            await fetcher.download(site.url("/x", scheme=scheme), to=tmp_path / "f")
    assert type(caught.value) is kind
    assert "Who Are You" not in caught.value.detail
    assert site.connections == 0
