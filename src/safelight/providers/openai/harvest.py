"""Keeps each picture of an answer on disk as soon as it is there, and what was told with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from safelight.errors import FetchTooLarge, MediaError, ProviderRejected
from safelight.fetch import Fetcher
from safelight.providers import results
from safelight.providers.price import Usage
from safelight.providers.provider import MediaFile

MOST_ROUGH = 3  # what the protocol makes
_TOLD = ("revised_prompt", "size", "quality", "background", "output_format")


class Harvest:
    """The pictures that have come so far, in order; memory holds none of them."""

    def __init__(self, fetcher: Fetcher, folder: Path) -> None:
        self._fetcher = fetcher
        self._folder = folder
        self.pictures: list[MediaFile] = []
        self.facts: dict[str, Any] = {}
        self.usage: Mapping[str, Any] | None = None

    async def take_answer(self, document: dict[str, Any]) -> None:
        """Keep all pictures of a plain answer, letting go of each before the next."""
        entries = document.get("data")
        if not isinstance(entries, list):
            raise ProviderRejected("The provider's answer holds no pictures.")
        waiting = cast("list[object]", entries)
        waiting.reverse()
        while waiting:
            entry = waiting.pop()
            if isinstance(entry, dict):
                await self.take(document | cast("dict[str, Any]", entry))
        self.hear(document)

    async def take(self, told: Mapping[str, Any]) -> None:
        """Keep one picture, spelled out or named by its address."""
        to = self._folder / f"picture-{len(self.pictures)}"
        encoded, address = told.get("b64_json"), told.get("url")
        if isinstance(encoded, str) and encoded:
            made = await results.keep(encoded, to)
        elif isinstance(address, str) and address:
            made = await results.bring(self._fetcher, address, to)
        else:
            raise ProviderRejected("The provider names a picture and does not send it.")
        facts = {name: told[name] for name in _TOLD if isinstance(told.get(name), str)}
        self.pictures.append(MediaFile(made.path, made.media_type, facts=facts))
        self.hear(told)

    async def rough(self, told: Mapping[str, Any], number: int) -> Path | None:
        """Return an unfinished picture; none where it cannot be shown, or more come than may."""
        encoded = told.get("b64_json")
        if not isinstance(encoded, str) or number > MOST_ROUGH:
            return None
        try:
            return (await results.keep(encoded, self._folder / f"rough-{number}")).path
        except (MediaError, FetchTooLarge):  # the finished one is what counts
            return None

    def hear(self, told: Mapping[str, Any]) -> None:
        """Note what was used."""
        usage = told.get("usage")
        if isinstance(usage, dict):
            self.usage = cast("dict[str, Any]", usage)
            self.facts["usage"] = self.usage

    @property
    def used(self) -> Usage:
        """The tokens that the answer tells of."""
        usage = self.usage or {}
        details = usage.get("input_tokens_details")
        told = cast("dict[str, Any]", details) if isinstance(details, dict) else {}
        return Usage(
            text_input_tokens=_count(told.get("text_tokens")),
            image_input_tokens=_count(told.get("image_tokens")),
            output_tokens=_count(usage.get("output_tokens")),
        )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
