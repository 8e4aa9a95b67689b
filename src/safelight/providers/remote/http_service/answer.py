"""Takes from a service's answer the files that it made, and keeps them on disk."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import quote

import httpx2
import orjson

from safelight.fetch.headers import media_type
from safelight.media.sniff import HEAD_BYTES, sniff
from safelight.providers.errors import ProviderRejected
from safelight.providers.provider import MediaFile
from safelight.providers.remote import results
from safelight.providers.remote.api import Lost
from safelight.providers.remote.http_service.places import find, first, word
from safelight.providers.remote.http_service.service import FILE, HttpService

_LONGEST_REASON = 500
_LONGEST_FACT = 1000
_MODEL = "model/gltf-binary"
_SPELLED = "data:;base64,"


def is_document(response: httpx2.Response) -> bool:
    """Say whether an answer calls itself JSON."""
    declared = media_type(response.headers)
    return declared == "application/json" or declared.endswith("+json")


async def read_document(response: httpx2.Response, max_bytes: int, lost: Lost) -> dict[str, Any]:
    """Return an answer that is a JSON object."""
    body = bytearray()
    try:
        async for part in response.aiter_bytes():
            body += part
            if len(body) > max_bytes:
                raise lost(f"The service's answer is larger than {max_bytes} bytes.")
    except httpx2.HTTPError as error:
        raise lost("The service's answer broke off.") from error
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise lost("The service's answer is no JSON object.")
    return cast("dict[str, Any]", document)


async def read_file(response: httpx2.Response, to: Path, lost: Lost) -> MediaFile:
    """Return the file that an answer is, known by its bytes; anything else is a lost answer."""
    size = 0
    file = await asyncio.to_thread(to.open, "wb")
    with file:
        try:
            async for part in response.aiter_bytes():
                size += len(part)
                if size > results.MAX_BYTES:
                    raise lost(f"The result is larger than {results.MAX_BYTES} bytes.")
                file.write(part)
        except httpx2.HTTPError as error:
            raise lost("The service's answer broke off.") from error
    return await asyncio.to_thread(_known, to, lost)


@dataclass(frozen=True, slots=True)
class Named:
    """The files that a document names by addresses, or spells out in base64, in their order."""

    told: tuple[str, ...]

    @classmethod
    def read(cls, document: dict[str, Any], service: HttpService) -> Self:
        """Return what a document names; raise `ProviderRejected` for what names nothing."""
        told = find(document, service.media) if service.media else []
        if not all(isinstance(one, str) and one for one in told):
            raise ProviderRejected(f"What the service has at {service.media} is no text.")
        texts = cast("list[str]", told)
        if service.file_url:
            texts = [_address(service.file_url, one) for one in texts]
        return cls(tuple(one if _is_address(one) else f"{_SPELLED}{one}" for one in texts))

    @property
    def is_far(self) -> bool:
        """Whether there is something to fetch."""
        return any(not one.startswith("data:") for one in self.told)


def reason(document: dict[str, Any], service: HttpService) -> str:
    """Return why a service says that it failed; empty where it does not say."""
    told = first(document, service.error) if service.error else None
    if not told:
        return ""
    text = told if isinstance(told, str) else orjson.dumps(told).decode()
    return text.replace("\x00", "")[:_LONGEST_REASON]


def facts_of(document: dict[str, Any], service: HttpService) -> dict[str, Any]:
    """Return what is worth keeping of a document."""
    found = {name: word(document, place) for name, place in service.facts.items()}
    return {name: value[:_LONGEST_FACT] for name, value in found.items() if value}


def _address(template: str, name: str) -> str:
    """Return the address of the file of that name, which cannot lead out of its folder."""
    steps = name.strip("/").split("/")
    if any(step in ("", ".", "..") for step in steps):
        raise ProviderRejected("The service names a file that cannot be one.")
    return template.replace(FILE, quote("/".join(steps)))


def _is_address(text: str) -> bool:
    return text.startswith(("http://", "https://", "data:"))


def _known(path: Path, lost: Lost) -> MediaFile:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    kind = sniff(head) if head else None
    if kind is None or not (kind.startswith("image/") or kind == _MODEL):
        raise lost(f"The service sent {kind or 'nothing of any known kind'}.")
    return MediaFile(path, kind)
