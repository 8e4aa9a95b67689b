"""The downloader against real servers on the loopback: hostile, broken, slow and good ones."""

import asyncio
import gzip
import hashlib
import ssl
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import trustme

from safelight.errors import SafelightError
from safelight.fetch import Fetcher
from safelight.fetch.errors import (
    FetchError,
    FetchRefused,
    FetchTimeout,
    FetchTooLarge,
    UrlNotAllowed,
)
from tests.sites import (
    PICTURE,
    Answer,
    Site,
    StubResolver,
    fetcher_for,
    policy_for,
    redirect,
    respond,
    running,
    stream,
)


async def failure_of(
    answer: Answer, kind: type[SafelightError], to: Path, **changes: Any
) -> SafelightError:
    """Download `/x` answered by `answer` and return the error, having seen that no file is left."""
    async with running({"/x": answer}) as site, fetcher_for(site, **changes) as fetcher:
        with pytest.raises(kind) as caught:
            await fetcher.download(site.url("/x"), to=to)
    assert type(caught.value) is kind
    assert not list(to.parent.iterdir())
    return caught.value


# --- what works -------------------------------------------------------------------------------


async def test_download_when_all_is_well_then_tells_what_came(tmp_path: Path) -> None:
    heard: list[tuple[int, int | None]] = []
    async with running({"/a/cat.png": respond()}) as site, fetcher_for(site) as fetcher:
        fetched = await fetcher.download(
            site.url("/a/cat.png?x=1#part"),
            to=tmp_path / "f",
            on_progress=lambda done, total: heard.append((done, total)),
        )
    assert fetched.path.read_bytes() == PICTURE
    assert fetched.sha256 == hashlib.sha256(PICTURE).hexdigest()
    assert (fetched.bytes, fetched.media_type, fetched.name) == (
        len(PICTURE),
        "image/png",
        "cat.png",
    )
    assert fetched.final_url == site.url("/a/cat.png?x=1")
    assert heard[-1] == (len(PICTURE), len(PICTURE))
    assert len(heard) > 1


async def test_download_when_no_resolver_is_given_then_asks_the_system(tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with (
        running({"/x": respond()}) as site,
        Fetcher(policy_for(site, allow_private=True), tls=tls) as fetcher,
    ):
        fetched = await fetcher.download(site.url("/x", "localhost"), to=tmp_path / "f")
    assert fetched.bytes == len(PICTURE)


async def test_download_when_sent_then_names_the_host_and_nothing_private(tmp_path: Path) -> None:
    async with running({"/x": respond()}) as site, fetcher_for(site) as fetcher:
        await fetcher.download(site.url("/x"), to=tmp_path / "f")
    request = site.requests[0].lower()
    assert f"host: good.example:{site.port}\r\n" in request
    assert "cookie" not in request
    assert "authorization" not in request


async def test_download_when_redirected_then_sends_no_cookies_along(tmp_path: Path) -> None:
    cookie = respond(b"", "302 Found", Location="/there", Set_Cookie="a=b; Path=/")
    async with (
        running({"/x": cookie, "/there": respond()}) as site,
        fetcher_for(site) as fetcher,
    ):
        fetched = await fetcher.download(site.url("/x"), to=tmp_path / "f")
        await fetcher.download(site.url("/there"), to=tmp_path / "g")
    assert fetched.final_url == site.url("/there")
    assert "cookie" not in "".join(site.requests).lower()


async def test_download_when_repeated_then_keeps_the_connection(tmp_path: Path) -> None:
    async with running({"/x": respond()}) as site, fetcher_for(site) as fetcher:
        for _ in range(3):
            await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert site.connections == 1


async def test_download_when_gzipped_unasked_then_unpacks(tmp_path: Path) -> None:
    packed = respond(gzip.compress(PICTURE), Content_Encoding="gzip")
    async with running({"/x": packed}) as site, fetcher_for(site) as fetcher:
        fetched = await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert fetched.path.read_bytes() == PICTURE


async def test_download_when_a_name_is_sent_then_only_its_last_part_is_used(tmp_path: Path) -> None:
    named = respond(Content_Disposition='attachment; filename="../../etc/p\u00e4ss.png"')
    async with running({"/x": named}) as site, fetcher_for(site) as fetcher:
        fetched = await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert "/" not in fetched.name
    assert fetched.name.endswith("ss.png")


async def test_download_when_many_at_once_then_a_host_sees_its_limit(tmp_path: Path) -> None:
    most = 0
    now = 0

    async def answer(writer: asyncio.StreamWriter, path: str) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        await respond(b"x")(writer, path)

    async with (
        running({"/x": answer}) as site,
        fetcher_for(site, per_host=3) as fetcher,
        asyncio.TaskGroup() as group,
    ):
        for number in range(12):
            group.create_task(fetcher.download(site.url("/x"), to=tmp_path / f"{number}"))
    assert most == 3


async def test_download_when_the_wait_for_a_slot_is_long_then_the_clock_has_not_started(
    tmp_path: Path,
) -> None:
    slow = stream(3, b"x", 0.1)
    async with (
        running({"/x": slow}) as site,
        fetcher_for(site, per_host=1, total_s=0.5) as fetcher,
        asyncio.TaskGroup() as group,
    ):
        for number in range(2):
            group.create_task(fetcher.download(site.url("/x"), to=tmp_path / f"{number}"))
    assert len(site.requests) == 2


# --- where it must not go ---------------------------------------------------------------------

INSIDE = [
    "http://127.0.0.2/",
    "http://10.0.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://0x7f000002/",
    "//169.254.169.254/",
    "http://user@good.example/",
    "https://good.example:22/",
    "file:///etc/passwd",
    "ftp://good.example/",
    "javascript:alert(1)",
    "http:\\\\10.0.0.1\\",
    "http://good.example\\@10.0.0.1/",
    "http://inner.example/",
]


@pytest.mark.parametrize("location", INSIDE)
async def test_download_when_redirected_inside_then_refuses(location: str, tmp_path: Path) -> None:
    resolver = StubResolver({"inner.example": [["10.0.0.1"]]})
    error = await failure_of(redirect(location), UrlNotAllowed, tmp_path / "f", resolver=resolver)
    assert "10.0.0.1" in location or "10.0.0.1" not in error.detail


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        (["10.0.0.1"], "private"),
        (["127.0.0.1", "10.0.0.1"], "private"),  # one good, one bad
        (["127.0.0.1", "::ffff:169.254.169.254"], "reserved"),
        (["169.254.169.254"], "reserved"),
        (["168.63.129.16"], "reserved"),
        (["fe80::1%eth0"], "reserved"),
        (["::"], "reserved"),
        ([], "unresolved"),
        (["not an address"], "unresolved"),
    ],
)
async def test_download_when_the_name_leads_inside_then_opens_no_connection(
    addresses: list[str], reason: str, tmp_path: Path
) -> None:
    resolver = StubResolver({"good.example": [addresses]})
    async with running({"/x": respond()}) as site, fetcher_for(site, resolver) as fetcher:
        with pytest.raises(UrlNotAllowed) as caught:
            await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert caught.value.extra["reason"] == reason
    assert not any(address in caught.value.detail for address in addresses)
    assert site.connections == 0


async def test_download_when_the_name_rebinds_then_the_checked_address_is_used(
    tmp_path: Path,
) -> None:
    resolver = StubResolver({"good.example": [["127.0.0.1"], ["10.0.0.1"]]})
    closing = respond(Connection="close")
    async with running({"/x": closing}) as site, fetcher_for(site, resolver) as fetcher:
        await fetcher.download(site.url("/x"), to=tmp_path / "f")
        assert resolver.asked == ["good.example"]  # once: nothing is looked up after the check
        with pytest.raises(UrlNotAllowed):
            await fetcher.download(site.url("/x"), to=tmp_path / "g")
    assert site.connections == 1


async def test_download_when_it_rebinds_between_hops_then_refuses(tmp_path: Path) -> None:
    resolver = StubResolver({"good.example": [["127.0.0.1"], ["127.0.0.9"]]})
    hop = respond(b"", "302 Found", Location="/there", Connection="close")
    async with (
        running({"/x": hop, "/there": respond()}) as site,
        fetcher_for(site, resolver) as fetcher,
    ):
        with pytest.raises(UrlNotAllowed):
            await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert site.connections == 1


async def test_download_when_redirects_never_end_then_stops(tmp_path: Path) -> None:
    async with running({"/x": redirect("/x")}) as site, fetcher_for(site) as fetcher:
        with pytest.raises(FetchRefused):
            await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert len(site.requests) == 6


async def test_download_when_nobody_listens_then_fails_for_now(tmp_path: Path) -> None:
    async with running({}) as site:
        pass
    async with fetcher_for(site) as fetcher:
        with pytest.raises(FetchError) as caught:
            await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert type(caught.value) is FetchError


async def test_download_when_the_first_address_is_dead_then_tries_the_next(tmp_path: Path) -> None:
    networks = (IPv4Network("127.0.0.0/8"),)
    resolver = StubResolver({"good.example": [["127.0.0.66", "127.0.0.1"]]})
    async with (
        running({"/x": respond()}) as site,
        fetcher_for(site, resolver, allow_networks=networks) as fetcher,
    ):
        fetched = await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert fetched.bytes == len(PICTURE)


# --- what it must not swallow -----------------------------------------------------------------


async def test_download_when_the_body_never_ends_then_stops_at_the_limit(tmp_path: Path) -> None:
    endless = stream(10_000, b"x" * 65536, 0)
    await failure_of(endless, FetchTooLarge, tmp_path / "f", max_bytes=2**20)


async def test_download_when_declared_too_large_then_reads_nothing(tmp_path: Path) -> None:
    huge = stream(1, b"", 0, Content_Length=str(10**12))
    await failure_of(huge, FetchTooLarge, tmp_path / "f")


async def test_download_when_the_caller_limits_it_then_that_counts(tmp_path: Path) -> None:
    async with running({"/x": respond()}) as site, fetcher_for(site) as fetcher:
        with pytest.raises(FetchTooLarge):
            await fetcher.download(site.url("/x"), to=tmp_path / "f", max_bytes=1000)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("wbits", [zlib.MAX_WBITS | 16, zlib.MAX_WBITS])
async def test_download_when_a_bomb_then_defuses_it(wbits: int, tmp_path: Path) -> None:
    packer = zlib.compressobj(9, wbits=wbits)
    bomb = packer.compress(bytes(64 * 2**20)) + packer.flush()
    assert len(bomb) < 100_000
    packed = respond(bomb, Content_Encoding="gzip" if wbits & 16 else "deflate")
    began = time.perf_counter()
    await failure_of(packed, FetchTooLarge, tmp_path / "f")
    assert time.perf_counter() - began < 2


async def test_download_when_the_encoding_is_unknown_then_refuses(tmp_path: Path) -> None:
    await failure_of(respond(Content_Encoding="br"), FetchRefused, tmp_path / "f")
    await failure_of(respond(Content_Encoding="gzip, gzip"), FetchRefused, tmp_path / "f")


@pytest.mark.parametrize("word", ["", "aws-chunked", "UTF-8", "none", "binary", "Identity"])
async def test_download_when_the_encoding_names_no_compression_then_takes_the_bytes(
    word: str, tmp_path: Path
) -> None:
    plain = respond(Content_Encoding=word)
    async with running({"/x": plain}) as site, fetcher_for(site) as fetcher:
        fetched = await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert fetched.path.read_bytes() == PICTURE


async def test_download_when_the_address_has_invisible_letters_then_asks_for_them_encoded(
    tmp_path: Path,
) -> None:
    path = "/a%E2%80%AFb%E3%80%80%C2%A0%E2%80%8C.png"
    answers = {"/x": redirect("/a\u202fb\u3000\u00a0\u200c.png"), path: respond()}
    async with running(answers) as site, fetcher_for(site) as fetcher:
        url = site.url("/a\u202fb\u3000\u00a0\u200c.png")
        await fetcher.download(url, to=tmp_path / "f")
        await fetcher.download(site.url("/x"), to=tmp_path / "g")
    assert [request.split()[1] for request in site.requests] == [path, "/x", path]


async def test_download_when_gzip_is_damaged_or_cut_then_fails_for_now(tmp_path: Path) -> None:
    packed = gzip.compress(PICTURE)
    for body in (b"junk" + packed, packed[:-20]):
        await failure_of(respond(body, Content_Encoding="gzip"), FetchError, tmp_path / "f")


async def test_download_when_the_body_drips_then_the_total_deadline_ends_it(
    tmp_path: Path,
) -> None:
    await failure_of(stream(1000, b"x", 0.02), FetchTimeout, tmp_path / "f", total_s=0.3)


async def test_download_when_the_body_stalls_then_the_idle_deadline_ends_it(
    tmp_path: Path,
) -> None:
    await failure_of(stream(5, b"x", 2), FetchTimeout, tmp_path / "f", idle_s=0.2)


async def test_download_when_no_answer_comes_then_times_out(tmp_path: Path) -> None:
    async def silent(writer: asyncio.StreamWriter, path: str) -> None:
        await asyncio.sleep(5)

    await failure_of(silent, FetchTimeout, tmp_path / "f", idle_s=0.2)


async def test_download_when_redirects_are_slow_then_one_deadline_covers_all(
    tmp_path: Path,
) -> None:
    async def slow(writer: asyncio.StreamWriter, path: str) -> None:
        await asyncio.sleep(0.15)
        await redirect("/x")(writer, path)

    began = time.perf_counter()
    await failure_of(slow, FetchTimeout, tmp_path / "f", total_s=0.4)
    assert time.perf_counter() - began < 0.8


async def test_download_when_cut_short_then_fails_for_now(tmp_path: Path) -> None:
    short = stream(1, b"x" * 1000, 0, Content_Length="5000")
    await failure_of(short, FetchError, tmp_path / "f")


async def test_download_when_the_answer_is_not_http_then_fails_for_now(tmp_path: Path) -> None:
    async def junk(writer: asyncio.StreamWriter, path: str) -> None:
        writer.write(b"\x00\x01 SSH-2.0-OpenSSH\r\n\r\n")

    await failure_of(junk, FetchError, tmp_path / "f")


async def test_download_when_headers_never_end_then_stops(tmp_path: Path) -> None:
    async def endless(writer: asyncio.StreamWriter, path: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-Header: " + b"x" * 1000 + b"\r\n")
            await writer.drain()

    await failure_of(endless, FetchError, tmp_path / "f")


async def test_download_when_canceled_then_leaves_no_file(tmp_path: Path) -> None:
    begun = asyncio.Event()
    to = tmp_path / "f"
    async with (
        running({"/x": stream(1000, b"x" * 300_000, 0.01)}) as site,
        fetcher_for(site) as fetcher,
        asyncio.TaskGroup() as group,
    ):
        work = group.create_task(
            fetcher.download(site.url("/x"), to=to, on_progress=lambda *_: begun.set())
        )
        await begun.wait()
        assert to.exists()
        work.cancel()
    assert not to.exists()


# --- what the other server says ---------------------------------------------------------------


@pytest.mark.parametrize("status", ["400 Bad", "401 No", "403 No", "404 Not Found", "410 Gone"])
async def test_download_when_a_client_error_then_is_refused(status: str, tmp_path: Path) -> None:
    await failure_of(respond(b"", status), FetchRefused, tmp_path / "f")


@pytest.mark.parametrize("status", ["500 Oh", "502 Bad", "204 None", "206 Part", "304 Same"])
async def test_download_when_another_status_then_fails_for_now(status: str, tmp_path: Path) -> None:
    await failure_of(respond(b"", status), FetchError, tmp_path / "f")


@pytest.mark.parametrize("status", ["429 Slow Down", "503 Busy"])
async def test_download_when_asked_to_wait_then_says_how_long(status: str, tmp_path: Path) -> None:
    error = await failure_of(respond(b"", status, Retry_After="7"), FetchError, tmp_path / "f")
    assert error.retry_after == timedelta(seconds=7)


async def test_download_when_told_a_date_then_waits_until_it(tmp_path: Path) -> None:
    busy = respond(b"", "503 Busy", Retry_After="Fri, 31 Dec 2199 23:59:59 GMT")
    error = await failure_of(busy, FetchError, tmp_path / "f")
    assert error.retry_after == timedelta(days=1)  # the longest wait that is believed


# --- TLS --------------------------------------------------------------------------------------


@asynccontextmanager
async def secure(name: str, authority: trustme.CA) -> AsyncIterator[tuple[Site, list[str | None]]]:
    names: list[str | None] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(tls)
    tls.sni_callback = lambda _socket, wanted, _context: names.append(wanted)
    async with running({"/x": respond()}, tls) as site:
        yield site, names


async def test_download_when_tls_then_verifies_and_sends_the_name(tmp_path: Path) -> None:
    authority = trustme.CA()
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with (
        secure("good.example", authority) as (site, names),
        fetcher_for(site, tls=trust) as fetcher,
    ):
        fetched = await fetcher.download(site.url("/x", scheme="https"), to=tmp_path / "f")
        await fetcher.download(site.url("/x", "good.example.", "https"), to=tmp_path / "g")
    assert fetched.bytes == len(PICTURE)
    assert set(names) == {"good.example"}


@pytest.mark.parametrize("trusted", [True, False])
async def test_download_when_the_certificate_does_not_fit_then_fails(
    trusted: bool, tmp_path: Path
) -> None:
    authority = trustme.CA()
    trust = ssl.create_default_context()
    if trusted:
        authority.configure_trust(trust)
    name = "other.example" if trusted else "good.example"
    async with secure(name, authority) as (site, _), fetcher_for(site, tls=trust) as fetcher:
        with pytest.raises(FetchError):
            await fetcher.download(site.url("/x", scheme="https"), to=tmp_path / "f")
    assert site.requests == []
