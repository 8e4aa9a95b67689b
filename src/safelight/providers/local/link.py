"""Imports pictures by URL: an import is a job whose provider is the web."""

from datetime import timedelta

from safelight.fetch import Fetcher
from safelight.media.errors import MediaEmpty, MediaUnsupported
from safelight.media.sniff import HEAD_BYTES, sniff
from safelight.providers.errors import ProviderRejected
from safelight.providers.price import FREE
from safelight.providers.provider import (
    AttemptHandle,
    Done,
    Kind,
    Lane,
    MediaFile,
    Model,
    NoCallbacks,
    Pending,
    ProviderRequest,
)

_DOWNLOADING = "downloading"


class LinkProvider(NoCallbacks):
    """Downloads `source_url` and types it by its bytes only."""

    name = "link"

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def capabilities(self) -> tuple[Model, ...]:
        return (
            Model(
                id="link",
                provider=self.name,
                title="Import by URL",
                description="Downloads a picture from a URL and stores it.",
                kinds=frozenset({Kind.IMPORT_IMAGE}),
                lane=Lane.INGEST,
                params_schema={"type": "object", "properties": {}, "additionalProperties": False},
                timeout=timedelta(seconds=120),
                repeatable=True,
                price=FREE,
            ),
        )

    async def start(self, request: ProviderRequest, attempt: AttemptHandle) -> Done | Pending:
        def heard(done: int, total: int | None) -> None:
            # Without a Content-Length there is no percentage.
            attempt.report(100 * done / total if total else 0, _DOWNLOADING)

        attempt.report(0, _DOWNLOADING)
        fetched = await self._fetcher.download(
            request.source_url, to=request.scratch / "download", on_progress=heard
        )
        if not fetched.bytes:
            raise MediaEmpty
        with fetched.path.open("rb") as file:  # one small read, just written
            media_type = sniff(file.read(HEAD_BYTES))
        if media_type is None or not media_type.startswith("image/"):
            raise MediaUnsupported("The URL is not a picture.")
        picture = MediaFile(
            fetched.path, media_type, name=fetched.name, source_url=fetched.final_url
        )
        return Done((picture,))

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Pending:
        raise ProviderRejected("A download never waits, so there is nothing to check.")

    async def cancel(self, ticket: str) -> None:
        """Do nothing: a canceled `start` ends its own download."""
