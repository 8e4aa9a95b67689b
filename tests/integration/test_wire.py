"""The HTTP client against servers on the loopback: what it sends, and what it says of failures."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
import trustme

from safelight.fetch.wire import Request, Response, Stage, Wire, WireError
from tests.servers import free_port
from tests.sites import Answer, Site, respond, running

METHODS = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST"]


async def here(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


@asynccontextmanager
async def wired(tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    wire = Wire(here, tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    try:
        yield wire
    finally:
        await wire.aclose()


async def ask(
    wire: Wire,
    url: str,
    method: str = "GET",
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    connect_s: float = 5.0,
    idle_s: float | None = 5.0,
) -> tuple[Response, bytes]:
    response = await wire.send(
        Request(method, url, headers or {}, connect_s, idle_s, body), lambda error: error
    )
    try:
        return response, b"".join([part async for part in response.parts()])
    finally:
        response.close()


async def failure(
    wire: Wire,
    url: str,
    method: str = "GET",
    *,
    connect_s: float = 5.0,
    idle_s: float | None = 5.0,
) -> WireError:
    with pytest.raises(WireError) as caught:
        await ask(wire, url, method, connect_s=connect_s, idle_s=idle_s)
    return caught.value


async def hang_up(writer: asyncio.StreamWriter, path: str) -> None:
    writer.close()


async def silent(writer: asyncio.StreamWriter, path: str) -> None:
    await asyncio.Event().wait()


# --- what was sent ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
async def test_send_when_nobody_listens_says_that_nothing_was_sent(method: str) -> None:
    async with wired() as wire:
        error = await failure(wire, f"http://vendor.test:{free_port()}/", method)
    assert (error.stage, error.is_timeout) == (Stage.CONNECTING, False)


@pytest.mark.parametrize("problem", [OSError("no resolver"), socket.gaierror(-3, "again")])
async def test_send_when_the_name_does_not_resolve_says_that_nothing_was_sent(
    problem: OSError,
) -> None:
    async def fails(host: str, port: int) -> Sequence[str]:
        raise problem

    wire = Wire(fails, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    error = await failure(wire, "http://vendor.test/", "POST")
    assert (error.stage, error.is_timeout) == (Stage.CONNECTING, False)
    await wire.aclose()


async def test_send_when_connecting_takes_too_long_says_that_nothing_was_sent() -> None:
    async def hangs(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    wire = Wire(hangs, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    error = await failure(wire, "http://vendor.test/", "POST", connect_s=0.05)
    assert (error.stage, error.is_timeout) == (Stage.CONNECTING, True)
    await wire.aclose()


async def test_send_when_the_certificate_is_anothers_says_that_nothing_was_sent() -> None:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("other.test").configure_cert(server)
    authority.configure_trust(client)
    async with running({"/x": respond()}, server) as site, wired(client) as wire:
        error = await failure(wire, site.url("/x", "vendor.test", "https"), "POST")
    assert error.stage is Stage.CONNECTING
    assert site.requests == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("is_kept", [False, True], ids=["new", "kept"])
async def test_send_when_the_server_hangs_up_sends_nothing_again(
    method: str, is_kept: bool
) -> None:
    async with running({"/ok": respond(b"ok"), "/cut": hang_up}) as site, wired() as wire:
        if is_kept:
            await ask(wire, site.url("/ok"))
        error = await failure(wire, site.url("/cut"), method)
        assert (error.stage, error.is_timeout) == (Stage.WAITING, False)
        assert [request.split()[1] for request in site.requests].count("/cut") == 1
        assert site.connections == 1


async def test_send_when_the_server_is_silent_says_that_the_request_may_have_arrived() -> None:
    async with running({"/x": silent}) as site, wired() as wire:
        error = await failure(wire, site.url("/x"), "POST", idle_s=0.05)
    assert (error.stage, error.is_timeout) == (Stage.WAITING, True)


async def test_send_when_the_response_is_not_http_says_that_the_request_may_have_arrived() -> None:
    async def junk(writer: asyncio.StreamWriter, path: str) -> None:
        writer.write(b"\x00\xff SSH-2.0\r\n\r\n")

    async with running({"/x": junk}) as site, wired() as wire:
        error = await failure(wire, site.url("/x"), "POST")
    assert error.stage is Stage.WAITING


@pytest.mark.parametrize("framing", ["Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n"])
async def test_send_when_the_body_breaks_off_says_that_the_response_had_begun(
    framing: str,
) -> None:
    async def short(writer: asyncio.StreamWriter, path: str) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\n{framing}\r\n4\r\nab".encode())
        writer.close()

    async with running({"/x": short}) as site, wired() as wire:
        error = await failure(wire, site.url("/x"))
    assert (error.stage, error.is_timeout) == (Stage.READING, False)


# --- kept connections -------------------------------------------------------------------------


async def test_send_when_the_kept_connection_has_ended_unnoticed_opens_another() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        url = f"http://vendor.test:{listening.getsockname()[1]}/"

        async def serve() -> socket.socket:
            connection, _ = await loop.sock_accept(listening)
            await loop.sock_recv(connection, 65536)
            await loop.sock_sendall(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return connection

        async with wired() as wire, asyncio.TaskGroup() as group:
            first = group.create_task(serve())
            await ask(wire, url)
            second = group.create_task(serve())
            await asyncio.sleep(0)  # it listens
            # From here on the event loop reads nothing before the request goes out.
            (await first).close()
            assert (await ask(wire, url, "POST"))[1] == b"ok"
            (await second).close()


async def test_send_when_a_response_is_left_unread_does_not_keep_its_connection() -> None:
    async with running({"/x": respond()}) as site, wired() as wire:
        for _ in range(2):
            request = Request("GET", site.url("/x"), {}, 5.0)
            response = await wire.send(request, lambda error: error)
            response.close()
        assert site.connections == 2


async def test_send_when_many_at_once_reuses_every_connection() -> None:
    async with running({"/x": respond(b"ok")}) as site, wired() as wire:
        for _ in range(3):
            async with asyncio.TaskGroup() as group:
                for _ in range(10):
                    group.create_task(ask(wire, site.url("/x")))
        assert site.connections == 10


# --- what goes over the wire ------------------------------------------------------------------


def request_of(site: Site) -> str:
    return site.requests[-1]


async def test_send_when_the_url_is_encoded_sends_it_as_it_is() -> None:
    target = "/a%2fb/%7Euser/..;x/%C3%A9?x=%2B+1&y=a%20b&z=%3D"
    async with running({target.partition("?")[0]: respond(b"ok")}) as site, wired() as wire:
        await ask(wire, site.url(target))
    assert request_of(site).startswith(f"GET {target} HTTP/1.1\r\n")


@pytest.mark.parametrize("body", [None, b""])
async def test_send_when_a_post_is_empty_declares_its_length_and_no_type(
    body: bytes | None,
) -> None:
    async with running({"/x": respond(b"ok")}) as site, wired() as wire:
        await ask(wire, site.url("/x"), "POST", body=body, headers={"X-Mine": "yes"})
    request = request_of(site)
    assert "Content-Length: 0\r\n" in request
    assert "X-Mine: yes\r\n" in request
    assert "Content-Type" not in request


async def test_send_when_cookies_were_set_sends_none() -> None:
    cookie = respond(b"ok", Set_Cookie="a=b; Path=/")
    async with running({"/x": cookie}) as site, wired() as wire:
        for _ in range(2):
            await ask(wire, site.url("/x"))
    assert "cookie" not in request_of(site).lower()


async def test_send_when_redirected_returns_the_redirect() -> None:
    moved = respond(b"", "302 Found", Location="/y")
    async with running({"/x": moved}) as site, wired() as wire:
        response, _ = await ask(wire, site.url("/x"))
    assert (response.status, response.headers["location"]) == (302, "/y")
    assert len(site.requests) == 1


async def test_send_when_headers_repeat_or_are_no_utf8_returns_their_text() -> None:
    async def odd(writer: asyncio.StreamWriter, path: str) -> None:
        fields = b"X-One: a\r\nx-one: b\r\nX-Old: caf\xe9\r\nX-New: caf\xc3\xa9\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + fields + b"\r\n")

    async with running({"/x": odd}) as site, wired() as wire:
        response, _ = await ask(wire, site.url("/x"))
    assert response.headers["x-one"] == "a, b"
    assert response.headers["x-old"] == response.headers["x-new"] == "caf\u00e9"


def lines(number: int, size: int) -> Answer:
    async def answer(writer: asyncio.StreamWriter, path: str) -> None:
        fields = b"".join(b"X-%d: %s\r\n" % (each, b"x" * size) for each in range(number))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + fields + b"\r\n")

    return answer


@pytest.mark.parametrize(
    ("number", "size", "fits"), [(80, 100, 1), (1, 15000, 1), (200, 9, 0), (1, 20000, 0)]
)
async def test_send_when_headers_are_many_or_long_has_limits(
    number: int, size: int, fits: int
) -> None:
    async with running({"/x": lines(number, size)}) as site, wired() as wire:
        if fits:
            assert (await ask(wire, site.url("/x")))[0].status == 200
        else:
            assert (await failure(wire, site.url("/x"))).stage is Stage.WAITING
