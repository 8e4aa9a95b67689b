"""Reads a service's response and extracts or saves its files."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast
from urllib.parse import quote

import orjson

from safelight.fetch.headers import media_type
from safelight.fetch.wire import Response
from safelight.json_object import JsonObject
from safelight.media.sniff import HEAD_BYTES, sniff
from safelight.providers.errors import ProviderRejected
from safelight.providers.provider import MediaFile
from safelight.providers.remote import results
from safelight.providers.remote.api import Lost, whole
from safelight.providers.remote.http_service.places import find, first, word
from safelight.providers.remote.http_service.service import FILE, HttpService
from safelight.providers.remote.untrusted import parse

_LONGEST_REASON = 500
_LONGEST_FACT = 1000
_MODEL = "model/gltf-binary"
_SPELLED = "data:;base64,"


def is_document(response: Response) -> bool:
    """Return whether a response is declared as JSON."""
    declared = media_type(response.headers)
    return declared in ("application/json", "text/json") or declared.endswith("+json")


async def read_document(response: Response, max_bytes: int, lost: Lost) -> JsonObject:
    """Return a response that is a JSON object."""
    document = parse(await whole(response, lost, max_bytes))
    if not isinstance(document, dict):
        raise lost("The service's response is not a JSON object.")
    return cast("JsonObject", document)


async def read_file(response: Response, to: Path, lost: Lost) -> MediaFile:
    """Save a response that is a file, typed by its bytes; anything else is a lost response."""
    size = 0
    file = await asyncio.to_thread(to.open, "wb")
    with file:
        async for part in response.parts():
            size += len(part)
            if size > results.MAX_BYTES:
                raise lost(f"The result is larger than {results.MAX_BYTES} bytes.")
            file.write(part)
    return await asyncio.to_thread(_known, to, lost)


@dataclass(frozen=True, slots=True)
class Named:
    """The files that a document lists, as URLs or base64, in order."""

    told: tuple[str, ...]

    @classmethod
    def read(cls, document: JsonObject, service: HttpService) -> Self:
        """Return the listed files; raise `ProviderRejected` for an invalid list."""
        told = find(document, service.media) if service.media else []
        if not all(isinstance(one, str) and one for one in told):
            raise ProviderRejected(
                f"The service's response has a value that is not text at {service.media}."
            )
        texts = cast("list[str]", told)
        if service.file_url:
            texts = [_address(service.file_url, one) for one in texts]
        return cls(tuple(one if _is_address(one) else f"{_SPELLED}{one}" for one in texts))

    @property
    def is_far(self) -> bool:
        """Whether any of them must be downloaded."""
        return any(not one.lower().startswith("data:") for one in self.told)


def reason(document: JsonObject, service: HttpService) -> str:
    """Return the service's reason for a failure; empty if it gives none."""
    told = first(document, service.error) if service.error else None
    if not told:
        return ""
    text = told if isinstance(told, str) else orjson.dumps(told).decode()
    return text.replace("\x00", "")[:_LONGEST_REASON]


def facts_of(document: JsonObject, service: HttpService) -> JsonObject:
    """Return the configured facts of a document."""
    found = {name: word(document, place) for name, place in service.facts.items()}
    return {name: value[:_LONGEST_FACT] for name, value in found.items() if value}


def _address(template: str, name: str) -> str:
    """Return the URL of a file name, which must stay inside its folder."""
    steps = name.strip("/").split("/")
    if any(step in ("", ".", "..") for step in steps):
        raise ProviderRejected("The service returned an invalid file name.")
    return template.replace(FILE, quote("/".join(steps)))


def _is_address(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://", "data:"))


def _known(path: Path, lost: Lost) -> MediaFile:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    kind = sniff(head) if head else None
    if kind is None or not (kind.startswith("image/") or kind == _MODEL):
        raise lost(f"The service sent {kind or 'an unknown file type'}.")
    return MediaFile(path, kind)
