"""How Amazon SNS is visited: small documents, from where they were asked for."""

import pytest

from safelight.errors import Forbidden
from safelight.fetch.errors import FetchRefused, FetchTooLarge
from safelight.providers.remote.sagemaker.visit import visit_by
from tests.sites import Answer, fetcher_for, redirect, respond, running


async def test_visit_when_a_document_is_there_then_returns_it() -> None:
    async with running({"/a.pem": respond(b"a certificate")}) as site, fetcher_for(site) as fetcher:
        assert await visit_by(fetcher)(site.url("/a.pem")) == b"a certificate"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (respond(b"", "404 No"), FetchRefused),
        (respond(b"x" * 70_000), FetchTooLarge),
        (redirect("/b.pem"), Forbidden),
    ],
)
async def test_visit_when_it_is_missing_huge_or_elsewhere_then_raises(
    answer: Answer, error: type[Exception]
) -> None:
    answers = {"/a.pem": answer, "/b.pem": respond(b"another")}
    async with running(answers) as site, fetcher_for(site) as fetcher:
        with pytest.raises(error):
            await visit_by(fetcher)(site.url("/a.pem"))
