"""A batch as a ZIP: file names that people recognize, and a manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from safelight.assets.asset import Asset
from safelight.assets.derived.variant_store import Variant
from safelight.assets.keys import EXTENSIONS
from safelight.assets.urls import Links
from safelight.jobs.job import Job
from safelight.jobs.service import BatchView
from safelight.jobs.view import batch_summary, tally_of
from safelight.json_object import JsonObject

MANIFEST = "manifest.json"

_MOST_LETTERS = 120
# Characters that some system forbids or interprets in file names.
_FORBIDDEN = str.maketrans(
    dict.fromkeys('<>:"/\\|?*', "_") | {chr(code): "_" for code in range(32)}
)


@dataclass(frozen=True, slots=True)
class Packed:
    """One file: its path in the package, and its key in storage."""

    path: str
    key: str
    bytes: int
    made_at: datetime
    job_id: str
    asset_id: str


def pack(
    view: BatchView, *, previews: bool, converted: Mapping[str, Variant] | None = None
) -> list[Packed]:
    """Return the files of all succeeded jobs, in batch order.

    Assets in `converted`, by id, are packed in their converted format.
    """
    others = converted or {}
    found = [
        file
        for job in view.jobs
        for asset in view.outputs.get(job.id, ())
        for file in _files(job, asset, len(view.outputs[job.id]), others, previews=previews)
    ]
    names = distinct([MANIFEST, *(file.path for file in found)])[1:]
    return [
        Packed(name, file.key, file.bytes, file.made_at, file.job_id, file.asset_id)
        for name, file in zip(names, found, strict=True)
    ]


def manifest(view: BatchView, files: Sequence[Packed], links: Links) -> Mapping[str, Any]:
    """Return the manifest, including missing files."""
    paths: dict[str, list[str]] = {}
    for file in files:
        paths.setdefault(file.asset_id, []).append(file.path)
    items: list[JsonObject] = [
        {
            "index": job.batch_index,
            "name": job.name or job.source_url or None,
            "job_id": job.id,
            "status": job.status.value,
            "error": job.error,
            "model": job.model,
            "params": job.params,
            "inputs": job.inputs,
            "files": [
                {
                    "paths": paths.get(asset.id, []),
                    "asset_id": asset.id,
                    "media_type": asset.media_type,
                    "bytes": asset.bytes,
                    "sha256": asset.sha256,
                    "url": links.of(asset.key, asset.account_id) if asset.key else None,
                    "facts": asset.facts,
                }
                for asset in view.outputs.get(job.id, ())
            ],
        }
        for job in view.jobs
    ] + [{**problem, "files": []} for problem in view.batch.problems]
    summary = batch_summary(view.batch, tally_of(view.batch, view.jobs), links)
    return summary | {"items": sorted(items, key=lambda item: item["index"])}


def distinct(names: Sequence[str]) -> list[str]:
    """Number the names that a case-insensitive file system would confuse."""
    taken: set[str] = set()
    found: list[str] = []
    for name in names:
        path = PurePosixPath(name)
        number, free = 1, name
        while free.casefold() in taken:
            number += 1
            free = f"{path.stem} ({number}){path.suffix}"
        taken.add(free.casefold())
        found.append(free)
    return found


def clean(name: str) -> str:
    """Return a file name that is valid on every system; empty if none remains."""
    return name.translate(_FORBIDDEN)[:_MOST_LETTERS].strip(" .")


def _files(
    job: Job, asset: Asset, outputs: int, others: Mapping[str, Variant], *, previews: bool
) -> list[Packed]:
    if asset.key is None:
        return []
    stem = _stem(job, asset) + (f"-{asset.position + 1}" if outputs > 1 else "")
    other = others.get(asset.id)
    form, key, size = (
        (other.media_type, other.key, other.bytes)
        if other
        else (asset.media_type, asset.key, asset.bytes)
    )
    shown = [(f"{stem}.{EXTENSIONS[form]}", key, size)]
    preview = asset.renditions.get("preview") if previews else None
    if preview and preview["key"] != asset.key:
        name = f"{stem}.{EXTENSIONS[preview['media_type']]}"
        shown.append((name, preview["key"], preview["bytes"]))
    return [
        Packed(path, key, size, asset.created_at, job.id, asset.id) for path, key, size in shown
    ]


def _stem(job: Job, asset: Asset) -> str:
    """Return the item's name: its own, or that of its input file."""
    for name in (job.name, unquote(urlsplit(job.source_url).path), asset.name):
        if stem := clean(PurePosixPath(name).stem):
            return stem
    return f"item {(job.batch_index or 0) + 1}"
