"""Saves outputs: to files and folders, converted to what their names promise, or to stdout."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from safelight.cli.client import Client
from safelight.cli.documents import Document
from safelight.cli.failure import BadUse, Failure
from safelight.cli.saved import outputs
from safelight.cli.saved.written import STDOUT
from safelight.documents import Asset

Outputs = Sequence[tuple[str, Asset]]


def check_stream(target: str | None, *, as_json: bool) -> None:
    """Raise `BadUse` where standard output cannot take a result."""
    if target != STDOUT:
        return
    if as_json:
        raise BadUse("--json and `-o -` both write to standard output: give one of them.")
    if sys.stdout.isatty():
        raise BadUse("A terminal cannot show the file: redirect the output, or name a file.")


async def save(
    client: Client, document: Document, made: Outputs, target: str, form: str | None = None
) -> list[Path]:
    """Save the outputs of a job or batch; return their paths, none for standard output."""
    base = public_base(document)
    if target == STDOUT:
        await _stream(client, made, base, form)
        return []
    paths = outputs.plan(made, target, form)
    forms = [
        outputs.conversion(path, asset, form) for path, (_, asset) in zip(paths, made, strict=True)
    ]
    if len(paths) > 1 and not paths[0].parent.is_dir():
        await asyncio.to_thread(_make_folder, paths[0].parent)
    for path, (_, asset), wanted in zip(paths, made, forms, strict=True):
        await _save_one(client, asset, path, base, wanted)
    return paths


async def _save_one(client: Client, asset: Asset, path: Path, base: str, form: str | None) -> None:
    if form is None:
        await client.download(asset["url"] or "", path, public_base=base)
    elif asset["kind"] == outputs.MODEL_3D:
        await client.download_model(asset["id"], form, path)
    else:
        url = await client.picture_url(asset["id"], form)
        await client.download(url, path, public_base=base)


async def _stream(client: Client, made: Outputs, base: str, form: str | None) -> None:
    if len(made) != 1:
        raise Failure(f"Standard output takes one result; there are {len(made)}: name a folder.")
    with tempfile.TemporaryDirectory() as folder:
        (path,) = outputs.plan(made, f"{folder}/", form)
        asset = made[0][1]
        await _save_one(client, asset, path, base, outputs.conversion(path, asset, form))
        with path.open("rb") as file:
            await asyncio.to_thread(shutil.copyfileobj, file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise Failure(
            f"{folder} cannot be made a folder: {error.strerror}. The results are stored: "
            "`safelight download` with another name saves them."
        ) from None


def public_base(document: Document) -> str:
    """Return the server's address as the server itself says it."""
    return document["status_url"].partition("/v1/")[0]
