"""Downloads or decodes a vendor's results, given as URLs or base64."""

import asyncio
import base64
import binascii
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from safelight.errors import SafelightError, StorageFull
from safelight.fetch import Fetcher
from safelight.fetch.errors import FetchTooLarge
from safelight.media.errors import MediaEmpty, MediaError, MediaTruncated, MediaUnsupported
from safelight.media.sniff import HEAD_BYTES, sniff
from safelight.providers.errors import ProviderBadInput
from safelight.providers.provider import MediaFile

_KEPT = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/gif",
        "image/avif",
        "image/tiff",
        "model/gltf-binary",
        "application/vnd.autodesk.fbx",
    }
)
_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".tif", ".tiff", ".glb", ".fbx")
MAX_BYTES = 200 * 2**20
_STANDARD = bytes.maketrans(b"-_", b"+/")
# Formats that vendors offer and `_KEPT` does not have.
_NOT_KEPT = frozenset(
    {"svg", "pdf", "eps", "bmp", "ico", "heic", "heif", "jxl", "jp2", "psd", "exr"}
    | {"mp4", "webm", "mov", "avi", "zip", "tar"}
    | {"obj", "stl", "ply", "usd", "usda", "usdc", "usdz", "gltf", "dae", "3mf", "blend", "splat"}
)


@dataclass(frozen=True, slots=True)
class Brought:
    """Result files in order, and what is wrong with the first missing one."""

    files: tuple[MediaFile, ...]
    missing: str = ""

    @property
    def facts(self) -> dict[str, str]:
        """The fact that marks an incomplete result; empty if it is complete."""
        return {"incomplete": self.missing} if self.missing else {}


def check_format(params: Mapping[str, Any]) -> None:
    """Raise `ProviderBadInput` if a param asks for a format that could only be lost once paid."""
    for name, value in params.items():
        if not name.endswith("format") or not isinstance(value, str):
            continue
        if value.lower().rpartition("/")[2].partition("+")[0].removeprefix(".") in _NOT_KEPT:
            raise ProviderBadInput(
                f"Results in {value!r} cannot be stored; choose another {name}. Nothing was sent."
            )


async def check_room(folder: Path, size: int) -> None:
    """Raise `StorageFull` if the disk has no room for a response that will be paid for."""
    usage = await asyncio.to_thread(shutil.disk_usage, folder)
    if usage.free < size:
        raise StorageFull("There is not enough disk space for the provider's response.")


async def bring_all(fetcher: Fetcher, addresses: Sequence[str], folder: Path) -> Brought:
    """Return the result files that are pictures or models, without their original names.

    Results of other types, such as a video beside a model, are skipped, unless nothing else is
    left. Raises as `bring` does; also if one of several pictures turns out to be an error page,
    since it is paid for.
    """
    made: list[MediaFile] = []
    wrong: list[SafelightError] = []
    for place, address in enumerate(addresses):
        try:
            file = await bring(fetcher, address, folder / f"made-{place}")
        except (MediaError, FetchTooLarge) as error:
            if isinstance(error, MediaError) and _promises(address):
                raise
            wrong.append(error)
        else:
            made.append(MediaFile(file.path, file.media_type))
    if wrong and not made:
        raise wrong[0]
    return Brought(tuple(made), wrong[0].detail if wrong else "")


def _promises(address: str) -> bool:
    """Return whether a URL's extension is that of a picture or model, or missing."""
    if _is_data(address):
        return False  # downloading again would not change it
    ending = PurePosixPath(urlsplit(address).path).suffix.lower()
    return ending in ("", *_ENDINGS)


async def bring(fetcher: Fetcher, address: str, to: Path) -> MediaFile:
    """Return the file behind an `https:` or `data:` URL, typed by its bytes.

    Raises a `FetchError` if the download failed, which another poll may fix, and a `MediaError` if
    the content is no picture or model.
    """
    if _is_data(address):
        return await keep(address, to)
    fetched = await fetcher.download(address, to=to, max_bytes=MAX_BYTES)
    return await asyncio.to_thread(_known, to, fetched.name)


async def keep(text: str, to: Path) -> MediaFile:
    """Decode base64, with or without its `data:` prefix, into a file."""
    if len(text) > MAX_BYTES * 4 // 3:
        raise FetchTooLarge(f"The result is larger than {MAX_BYTES} bytes.")
    return await asyncio.to_thread(_decoded, text, to)


def _decoded(text: str, to: Path) -> MediaFile:
    try:
        to.write_bytes(_decode(text))
    except (binascii.Error, UnicodeEncodeError):
        raise MediaTruncated("The provider's base64 is invalid.") from None
    return _known(to, "")


def _decode(text: str) -> bytes:
    """Decode base64 as vendors write it: line breaks, URL-safe letters, padding or none."""
    text = text.lstrip()
    if _is_data(text):
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            return unquote_to_bytes(text)
        text = unquote(text)
    letters = text.encode("ascii").translate(_STANDARD, delete=b" \t\r\n\f").rstrip(b"=")
    return base64.b64decode(letters + b"=" * (-len(letters) % 4), validate=True)


def _is_data(address: str) -> bool:
    return address[:5].lower() == "data:"


def _known(path: Path, name: str) -> MediaFile:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise MediaEmpty
    media_type = sniff(head)
    if media_type not in _KEPT:
        raise MediaUnsupported(f"The provider sent {media_type or 'an unknown file type'}.")
    return MediaFile(path, media_type, name=name)
