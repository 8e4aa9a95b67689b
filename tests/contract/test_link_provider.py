"""The `link` provider against real servers: what it calls a picture, and how it fails."""

import asyncio
from pathlib import Path

import pytest

from safelight.fetch.errors import FetchRefused, UrlNotAllowed
from safelight.media.errors import MediaEmpty, MediaUnsupported
from safelight.providers.errors import ProviderRejected
from safelight.providers.local.link import LinkProvider
from safelight.providers.price import FREE
from safelight.providers.provider import Done, Kind, Lane, ProviderRequest
from tests import pictures
from tests.sites import Answer, fetcher_for, redirect, respond, running, stream


class Attempt:
    """Remembers what was reported."""

    id = "att_1"
    callback_url: str | None = None
    news: bytes | None = None

    def __init__(self) -> None:
        self.reports: list[tuple[float, str]] = []
        self.began = asyncio.Event()

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        if self.reports:
            self.began.set()
        self.reports.append((progress, stage))


def request_for(url: str, scratch: Path) -> ProviderRequest:
    return ProviderRequest(
        kind=Kind.IMPORT_IMAGE,
        model="link",
        prompt="",
        params={},
        inputs=(),
        folder=scratch,
        source_url=url,
    )


async def done_by(answers: dict[str, Answer], scratch: Path, attempt: Attempt) -> Done:
    async with running(answers) as site, fetcher_for(site) as fetcher:
        url = site.url("/pictures/cat.jpg")
        result = await LinkProvider(fetcher).start(request_for(url, scratch), attempt)
    assert isinstance(result, Done)
    return result


async def test_start_when_a_picture_comes_then_is_done(tmp_path: Path) -> None:
    attempt = Attempt()
    data = pictures.picture("jpeg", 800, 600)
    done = await done_by({"/pictures/cat.jpg": respond(data)}, tmp_path, attempt)
    (picture,) = done.outputs
    assert picture.path.parent == tmp_path
    assert picture.path.read_bytes() == data
    assert (picture.media_type, picture.name) == ("image/jpeg", "cat.jpg")
    assert picture.source_url.endswith("/pictures/cat.jpg")
    assert attempt.reports[-1] == (100, "downloading")


async def test_start_when_redirected_then_tells_the_last_address(tmp_path: Path) -> None:
    answers = {"/pictures/cat.jpg": redirect("/b"), "/b": respond(pictures.picture())}
    done = await done_by(answers, tmp_path, Attempt())
    assert done.outputs[0].source_url.endswith("/b")


@pytest.mark.parametrize("form", pictures.FORMATS)
async def test_start_when_the_header_lies_then_believes_the_bytes(
    form: str, tmp_path: Path
) -> None:
    lying = respond(pictures.picture(form), Content_Type="text/plain")
    done = await done_by({"/pictures/cat.jpg": lying}, tmp_path, Attempt())
    assert done.outputs[0].media_type == f"image/{form}"


@pytest.mark.parametrize("name", ["html", "html after white space", "pdf", "text", "zip"])
async def test_start_when_no_picture_comes_then_says_so(name: str, tmp_path: Path) -> None:
    lying = respond(pictures.NOT_PICTURES[name], Content_Type="image/png")
    with pytest.raises(MediaUnsupported):
        await done_by({"/pictures/cat.jpg": lying}, tmp_path, Attempt())


async def test_start_when_nothing_comes_then_says_so(tmp_path: Path) -> None:
    with pytest.raises(MediaEmpty):
        await done_by({"/pictures/cat.jpg": respond(b"")}, tmp_path, Attempt())


async def test_start_when_missing_then_passes_the_refusal_on(tmp_path: Path) -> None:
    with pytest.raises(FetchRefused):
        await done_by({"/pictures/cat.jpg": respond(b"", "404 No")}, tmp_path, Attempt())


async def test_start_when_the_address_is_inside_then_is_refused(tmp_path: Path) -> None:
    async with running({}) as site, fetcher_for(site) as fetcher:
        inside = request_for("http://169.254.169.254/latest/", tmp_path)
        with pytest.raises(UrlNotAllowed):
            await LinkProvider(fetcher).start(inside, Attempt())


async def test_start_when_canceled_then_leaves_nothing_behind(tmp_path: Path) -> None:
    attempt = Attempt()
    endless = stream(1000, b"x" * 300_000, 0.01)
    async with running({"/x": endless}) as site, fetcher_for(site) as fetcher:
        request = request_for(site.url("/x"), tmp_path)
        async with asyncio.TaskGroup() as group:
            work = group.create_task(LinkProvider(fetcher).start(request, attempt))
            await attempt.began.wait()
            work.cancel()
    assert not (tmp_path / "download").exists()


async def test_check_and_cancel_when_called_then_do_no_harm(tmp_path: Path) -> None:
    async with running({}) as site, fetcher_for(site) as fetcher:
        provider = LinkProvider(fetcher)
        with pytest.raises(ProviderRejected):
            await provider.check("ticket", request_for("", tmp_path), Attempt())
        await provider.cancel("ticket")


async def test_capabilities_when_asked_then_offer_one_free_repeatable_import() -> None:
    async with running({}) as site, fetcher_for(site) as fetcher:
        (model,) = LinkProvider(fetcher).capabilities()
    assert (model.id, model.provider, model.lane) == ("link", "link", Lane.INGEST)
    assert model.kinds == {Kind.IMPORT_IMAGE}
    assert (model.repeatable, model.price) == (True, FREE)
