"""Keeps each picture of an answer on disk as soon as it is there, and what was told with it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from safelight.errors import ProviderRejected
from safelight.fetch import Fetcher
from safelight.providers import results
from safelight.providers.openai.config import Prices
from safelight.providers.provider import MediaFile

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

    def hear(self, told: Mapping[str, Any]) -> None:
        """Note what was used."""
        usage = told.get("usage")
        if isinstance(usage, dict):
            self.usage = cast("dict[str, Any]", usage)
            self.facts["usage"] = self.usage

    def cost_micros(self, prices: Prices | None) -> int | None:
        """Return what the tokens used cost, None where either is not known."""
        if prices is None or self.usage is None:
            return None
        details = self.usage.get("input_tokens_details")
        told = cast("dict[str, Any]", details) if isinstance(details, dict) else {}
        text = _count(told.get("text_tokens"))
        images = _count(told.get("image_tokens"))
        made = _count(self.usage.get("output_tokens"))
        if text is None or images is None or made is None:
            return None
        micros = text * prices.text_input + images * prices.image_input + made * prices.output
        return math.ceil(round(micros, 6))  # never less than it cost


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
