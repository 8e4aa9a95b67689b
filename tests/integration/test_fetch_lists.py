"""Lists of hosts and networks from the settings down to the wire."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from safelight.app import open_safelight
from safelight.fetch.errors import UrlNotAllowed
from safelight.settings import Settings
from tests.sites import Answer, StubResolver, fetcher_for, redirect, respond, running

DENIED = frozenset({"evil.example", "xn--bse-sna.example"})
SPELLINGS = [
    "evil.example",
    "EVIL.example",
    "Evil.Example.",
    "cdn.evil.example",
    "evil\u3002example",  # an ideographic full stop, which IDNA takes for a dot
    "xn--bse-sna.example",
    "XN--BSE-SNA.example",
    "b\u00f6se.example",
    "B\u00d6SE.example",
    "a.b\u00f6se.example.",
]


@pytest.mark.parametrize("host", SPELLINGS)
async def test_download_when_the_host_is_denied_then_opens_no_connection(
    host: str, tmp_path: Path
) -> None:
    resolver = StubResolver()
    async with (
        running({"/x": respond()}) as site,
        fetcher_for(site, resolver, deny_hosts=DENIED) as fetcher,
    ):
        with pytest.raises(UrlNotAllowed) as caught:
            await fetcher.download(site.url("/x", host), to=tmp_path / "f")
    assert caught.value.extra["reason"] == "host"
    assert resolver.asked == []
    assert site.connections == 0


@pytest.mark.parametrize("host", SPELLINGS)
async def test_download_when_redirected_to_a_denied_host_then_refuses(
    host: str, tmp_path: Path
) -> None:
    answers: dict[str, Answer] = {"/there": respond()}
    async with running(answers) as site, fetcher_for(site, deny_hosts=DENIED) as fetcher:
        # In a header, other letters travel escaped, as browsers and servers write them.
        answers["/x"] = redirect(site.url("/there", host.encode("idna").decode()))
        with pytest.raises(UrlNotAllowed):
            await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert len(site.requests) == 1


async def test_download_when_hosts_are_listed_then_a_redirect_leads_to_no_other(
    tmp_path: Path,
) -> None:
    allowed = frozenset({"good.example", "xn--bcher-kva.example"})
    answers: dict[str, Answer] = {"/there": respond()}
    async with running(answers) as site, fetcher_for(site, allow_hosts=allowed) as fetcher:
        answers["/in"] = redirect(
            site.url("/there", "img.B\u00fccher.example".encode("idna").decode())
        )
        answers["/out"] = redirect(site.url("/there", "notgood.example"))
        await fetcher.download(site.url("/in", "Good.example."), to=tmp_path / "f")
        await fetcher.download(site.url("/there", "b\u00fccher.example"), to=tmp_path / "f")
        with pytest.raises(UrlNotAllowed):
            await fetcher.download(site.url("/out"), to=tmp_path / "g")
    assert len(site.requests) == 4


async def test_download_when_a_listed_host_leads_inside_then_refuses(tmp_path: Path) -> None:
    resolver = StubResolver({"good.example": [["10.0.0.1"]]})
    async with (
        running({"/x": respond()}) as site,
        fetcher_for(site, resolver, allow_hosts=frozenset({"good.example"})) as fetcher,
    ):
        with pytest.raises(UrlNotAllowed):
            await fetcher.download(site.url("/x"), to=tmp_path / "f")


async def test_download_when_one_network_is_open_then_no_other_is(tmp_path: Path) -> None:
    resolver = StubResolver({"near.example": [["127.0.0.1"]], "far.example": [["127.9.0.1"]]})
    networks = (ip_network("127.0.0.0/16"),)
    async with (
        running({"/x": respond()}) as site,
        fetcher_for(site, resolver, allow_networks=networks) as fetcher,
    ):
        await fetcher.download(site.url("/x", "near.example"), to=tmp_path / "f")
        for host in ("far.example", "127.9.0.1", "10.0.0.1"):
            with pytest.raises(UrlNotAllowed):
                await fetcher.download(site.url("/x", host), to=tmp_path / "g")
    assert site.connections == 1


async def test_settings_when_lists_are_given_then_the_whole_server_keeps_to_them(
    tmp_path: Path,
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        fetch_allow_hosts="*.Good.example, 10.1.2.3,10.2.0.1",
        fetch_deny_hosts="bad.good.example",
        fetch_allow_networks="10.1.0.0/16",
        fetch_ports="80,443,10443",
    )
    async with open_safelight(settings) as safelight:
        check = safelight.services.entry.check_url
        for url in ("https://good.example:10443/", "https://img.good.example/", "http://10.1.2.3/"):
            check(url)
        for url in (
            "https://bad.good.example/",
            "https://example.com/",
            "http://10.2.0.1/",
            "https://good.example:8443/",
            "ftp://good.example/",
        ):
            with pytest.raises(UrlNotAllowed):
                check(url)
