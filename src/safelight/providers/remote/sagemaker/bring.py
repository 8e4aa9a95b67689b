"""Saves an endpoint's outputs to the scratch folder, typed by their bytes."""

import asyncio
from dataclasses import replace
from pathlib import Path

from safelight.media.errors import MediaEmpty, MediaUnsupported
from safelight.media.sniff import HEAD_BYTES, sniff
from safelight.providers.errors import ProviderRejected
from safelight.providers.provider import MediaFile
from safelight.providers.remote import results
from safelight.providers.remote.sagemaker.answer import Made
from safelight.providers.remote.sagemaker.objects import Objects
from safelight.providers.remote.sagemaker.place import S3Place


async def bring(made: Made, to: Path, objects: Objects, outputs: S3Place) -> MediaFile:
    """Save one output; an S3 object must be in the configured output location."""
    if made.base64:
        return replace(await results.keep(made.base64, to), facts=made.facts)
    raw = await _object(made.s3, objects, outputs) if made.s3 else made.raw
    return MediaFile(to, await asyncio.to_thread(_written, raw, to), facts=made.facts)


async def _object(uri: str, objects: Objects, outputs: S3Place) -> bytes:
    name = outputs.name_of(uri)
    if name is None:
        raise ProviderRejected("The endpoint wrote a result outside its output location.")
    found = await objects.read(outputs, name, max_bytes=results.MAX_BYTES)
    if found is None:
        raise ProviderRejected("A result that the endpoint names does not exist.")
    return found


def _written(raw: bytes, to: Path) -> str:
    if not raw:
        raise MediaEmpty
    media_type = sniff(raw[:HEAD_BYTES]) or ""
    if not media_type.startswith(("image/", "model/")):
        raise MediaUnsupported(f"The endpoint made {media_type or 'an unknown file type'}.")
    to.write_bytes(raw)
    return media_type
