"""The three flows as a person runs them: submit, watch, save, and say where the result is."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safelight.cli import show
from safelight.cli.client import Client, Document

_ENDINGS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/avif": ".avif",
    "model/gltf-binary": ".glb",
}


class BadFile(Exception):
    """A file on this machine that cannot be read."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How the result is wanted."""

    output: Path | None = None
    json: bool = False
    wait: bool = True
    quiet: bool = False  # no progress


async def finish(client: Client, submitted: Document, wish: Wish, label: str) -> Document:
    """Follow what was submitted to its end, save it where wanted, and return the final document."""
    if not wish.wait:
        return submitted
    if wish.json or wish.quiet:
        async for _ in client.follow(submitted):
            pass
    else:
        await show.watch(client.follow(submitted), label)
    return await client.get(submitted["status_url"].removeprefix(client.url))


async def save(client: Client, final: Document, output: Path | None) -> list[tuple[Document, Path]]:
    """Download all outputs to `output`: a file for one, numbered files or a folder for several."""
    if output is None:
        return []
    assets = outputs_of(final)
    targets = place(output, assets)
    for asset, target in zip(assets, targets, strict=True):
        await client.save(asset["url"], target)
    return list(zip(assets, targets, strict=True))


def outputs_of(document: Document) -> list[Document]:
    """Return every asset of a job, or of a batch's jobs in order."""
    if "items" not in document:
        return list(document["outputs"])
    return [asset for item in document["items"] if item["job"] for asset in item["job"]["outputs"]]


def place(output: Path, assets: Sequence[Document]) -> list[Path]:
    """Return where each asset goes. A folder takes them by name; a file name is numbered for several."""
    if output.is_dir() or str(output).endswith("/"):
        taken: set[Path] = set()
        return [_free_name(output, asset, taken) for asset in assets]
    if len(assets) == 1:
        return [output]
    return [
        output.with_name(f"{output.stem}-{number}{output.suffix}")
        for number in range(1, len(assets) + 1)
    ]


def _free_name(folder: Path, asset: Document, taken: set[Path]) -> Path:
    ending = _ENDINGS.get(asset["media_type"], "")
    stem = Path(asset["name"] or asset["id"]).stem
    target = folder / f"{stem}{ending}"
    number = 1
    while target in taken:
        number += 1
        target = folder / f"{stem}-{number}{ending}"
    taken.add(target)
    return target


def tell(final: Document, saved: Sequence[tuple[Document, Path]]) -> None:
    """Print where each result is."""
    paths = {asset["id"]: path for asset, path in saved}
    for asset in outputs_of(final):
        path = paths.get(asset["id"])
        note = asset["facts"].get("note")
        size = f"{asset['width']} x {asset['height']}" if asset["width"] else ""
        if path is not None:
            show.out.print(str(path), markup=False)
        else:
            show.out.print(asset["url"], markup=False)
        details = ", ".join(part for part in (asset["media_type"], size, note) if part)
        where = f"  {details}" + (f"  {asset['url']}" if path is not None else "")
        show.err.print(where, style="dim", markup=False)


async def read_file(path: Path) -> bytes:
    """Return a file's bytes, or raise `BadFile` in words."""
    try:
        return await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise BadFile(f"Cannot read {path}: {error.strerror}.") from None
