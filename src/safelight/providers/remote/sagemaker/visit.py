"""Downloads an SNS certificate or confirmation, with SSRF protection and without redirects."""

import tempfile
from pathlib import Path

from safelight.errors import Forbidden
from safelight.fetch import Fetcher
from safelight.providers.remote.sagemaker.sns import Visit

_MAX_BYTES = 64 * 1024


def visit_by(fetcher: Fetcher) -> Visit:
    """Return a function that downloads a small document; its deadline is the fetcher's."""

    async def visit(url: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            fetched = await fetcher.download(url, to=Path(folder) / "visited", max_bytes=_MAX_BYTES)
            if fetched.final_url != url:
                raise Forbidden("Amazon SNS redirects elsewhere.")
            return fetched.path.read_bytes()

    return visit
