"""Writes each picture of a paid response to disk as it arrives, and collects its metadata."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from safelight.fetch.errors import FetchTooLarge
from safelight.json_object import JsonObject, as_object
from safelight.media.errors import MediaError
from safelight.providers.price import Usage
from safelight.providers.provider import MediaFile
from safelight.providers.remote import results
from safelight.providers.remote.untrusted import as_list

MOST_ROUGH = 3  # the protocol's maximum
# The protocol's name first, then those that compatible servers use.
_LISTS = ("data", "images")
_PICTURE = frozenset({"b64_json", "url"})
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_NO_DATA = "The provider lists a picture without its data."
_TOLD = ("revised_prompt", "size", "quality", "background", "output_format")


def has_pictures(document: Mapping[str, Any]) -> bool:
    """Return whether `document` lists pictures, or is one."""
    return any(document.get(name) for name in (*_LISTS, *_PICTURE))


class Harvest:
    """The pictures received so far, in order, on disk.

    A picture that cannot be decoded raises nothing, since the response is paid for; `missing`
    describes the first such failure. `addresses` are URLs still to be downloaded.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.pictures: list[MediaFile] = []
        self.addresses: list[str] = []
        self.missing = ""
        self.facts: JsonObject = {}
        self.usage: Mapping[str, Any] | None = None

    async def take_answer(self, document: JsonObject) -> None:
        """Save all pictures of a JSON response, freeing each before the next."""
        entries = next((document.pop(name) for name in _LISTS if document.get(name)), document)
        waiting = as_list(entries) or [entries]
        waiting.reverse()
        while waiting:
            entry = waiting.pop()
            if isinstance(entry, str):
                entry = {"url" if _ADDRESS.match(entry) else "b64_json": entry}
            if isinstance(entry, dict) and entry.keys() & _PICTURE:
                await self.take(document | cast("JsonObject", entry))
            elif isinstance(entry, dict) and entry is not document:
                self._miss(_NO_DATA)
        self.hear(document)

    async def take(self, told: Mapping[str, Any]) -> None:
        """Save one base64 picture, or note its URL."""
        self.hear(told)
        encoded, address = told.get("b64_json"), told.get("url")
        facts = {name: told[name] for name in _TOLD if isinstance(told.get(name), str)}
        if isinstance(encoded, str) and encoded:
            await self._keep(encoded, facts)
        elif isinstance(address, str) and address:
            self.addresses.append(address)
            self.facts.setdefault("pictures", []).append(facts)
        else:
            self._miss(_NO_DATA)

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
        """Return a partial picture; None if it is invalid or exceeds the maximum number."""
        encoded = told.get("b64_json")
        if not isinstance(encoded, str) or number > MOST_ROUGH:
            return None
        try:
            return (await results.keep(encoded, self._folder / f"rough-{number}")).path
        except (MediaError, FetchTooLarge):  # only the final picture matters
            return None

    def hear(self, told: Mapping[str, Any]) -> None:
        """Record the reported usage."""
        usage = told.get("usage")
        if isinstance(usage, dict):
            self.usage = cast("JsonObject", usage)
            self.facts["usage"] = self.usage

    @property
    def used(self) -> Usage:
        """The token counts of the response."""
        usage = self.usage or {}
        details = usage.get("input_tokens_details")
        told = as_object(details)
        return Usage(
            text_input_tokens=_count(told.get("text_tokens")),
            image_input_tokens=_count(told.get("image_tokens")),
            output_tokens=_count(usage.get("output_tokens")),
        )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
