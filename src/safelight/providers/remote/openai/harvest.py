"""Keeps each picture of a paid answer on disk as it comes, and what was told with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from safelight.fetch.errors import FetchTooLarge
from safelight.media.errors import MediaError
from safelight.providers.price import Usage
from safelight.providers.provider import MediaFile
from safelight.providers.remote import results

MOST_ROUGH = 3  # what the protocol makes
_TOLD = ("revised_prompt", "size", "quality", "background", "output_format")


class Harvest:
    """What has come so far, in order; memory holds no picture.

    Nothing is raised for a picture that cannot be kept: the answer is paid. `missing` says what is
    wrong with the first of them. `addresses` are pictures that are still to be fetched.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.pictures: list[MediaFile] = []
        self.addresses: list[str] = []
        self.missing = ""
        self.facts: dict[str, Any] = {}
        self.usage: Mapping[str, Any] | None = None

    async def take_answer(self, document: dict[str, Any]) -> None:
        """Keep all pictures of a plain answer, letting go of each before the next."""
        entries = document.get("data")
        waiting = cast("list[object]", entries) if isinstance(entries, list) else []
        waiting.reverse()
        while waiting:
            entry = waiting.pop()
            if isinstance(entry, dict):
                await self.take(document | cast("dict[str, Any]", entry))
        self.hear(document)

    async def take(self, told: Mapping[str, Any]) -> None:
        """Keep one picture that is spelled out, or the address of one."""
        self.hear(told)
        encoded, address = told.get("b64_json"), told.get("url")
        facts = {name: told[name] for name in _TOLD if isinstance(told.get(name), str)}
        if isinstance(encoded, str) and encoded:
            await self._keep(encoded, facts)
        elif isinstance(address, str) and address:
            self.addresses.append(address)
            self.facts.setdefault("pictures", []).append(facts)
        else:
            self._miss("The provider names a picture and does not send it.")

    async def _keep(self, encoded: str, facts: Mapping[str, Any]) -> None:
        to = self._folder / f"picture-{len(self.pictures)}"
        try:
            made = await results.keep(encoded, to)
        except (MediaError, FetchTooLarge) as error:
            self._miss(error.detail)
        else:
            self.pictures.append(MediaFile(made.path, made.media_type, facts=facts))

    def _miss(self, why: str) -> None:
        self.missing = self.missing or why

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
