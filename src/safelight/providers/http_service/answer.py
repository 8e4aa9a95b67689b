"""Takes from a service's answer the files that it made, and keeps them on disk."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx2
import orjson

from safelight.errors import (
    FetchTooLarge,
    MediaEmpty,
    MediaUnsupported,
    ProviderRejected,
    SafelightError,
)
from safelight.fetch import Fetcher
from safelight.fetch.headers import media_type
from safelight.fetch.sniff import HEAD_BYTES, sniff
from safelight.providers import results
from safelight.providers.http_service.places import find, first, word
from safelight.providers.http_service.service import FILE, HttpService
from safelight.providers.provider import MediaFile

Lost = Callable[[str], SafelightError]

_LONGEST_REASON = 500
_LONGEST_FACT = 1000
_MODEL = "model/gltf-binary"


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
    """Return the file that an answer is, known by its bytes."""
    size = 0
    file = await asyncio.to_thread(to.open, "wb")
    with file:
        try:
            async for part in response.aiter_bytes():
                size += len(part)
                if size > results.MAX_BYTES:
                    raise FetchTooLarge(f"The result is larger than {results.MAX_BYTES} bytes.")
                file.write(part)
        except httpx2.HTTPError as error:
            raise lost("The service's answer broke off.") from error
    return await asyncio.to_thread(_known, to)


async def bring_files(
    document: dict[str, Any], service: HttpService, fetcher: Fetcher, folder: Path
) -> tuple[MediaFile, ...]:
    """Return the files that a document names or spells out, in their order."""
    made: list[MediaFile] = []
    for place, told in enumerate(find(document, service.media) if service.media else ()):
        if not isinstance(told, str) or not told:
            raise ProviderRejected(f"What the service has at {service.media} is no text.")
        to = folder / f"made-{place}"
        if service.file_url:
            told = _address(service.file_url, told)  # noqa: PLW2901
        if told.startswith(("http://", "https://", "data:")):
            made.append(await results.bring(fetcher, told, to))
        else:
            made.append(await results.keep(told, to))
    return tuple(MediaFile(one.path, one.media_type) for one in made)


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


def _known(path: Path) -> MediaFile:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise MediaEmpty
    kind = sniff(head)
    if kind is None or not (kind.startswith("image/") or kind == _MODEL):
        raise MediaUnsupported(f"The service sent {kind or 'bytes of no known kind'}.")
    return MediaFile(path, kind)
