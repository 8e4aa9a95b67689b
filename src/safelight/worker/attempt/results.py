"""Keeps received results on disk until they are stored, so that a restart can resume.

Each folder is named after its attempt and locked by the process that works on it; the kernel
releases the lock when that process dies.
"""

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import orjson

from safelight.json_object import JsonObject
from safelight.providers.provider import Done, MediaFile

_MANIFEST = "result.json"
_LOCK = "lock"


def keep(parent: Path, attempt_id: str, scratch: Path, done: Done) -> Done:
    """Move a result's files out of the scratch folder; return it with the new paths.

    Only once this returns is the result safe from a crash. Steps that can run out of space come
    first: if one raises, every file is still in scratch.
    """
    folder = parent / attempt_id
    folder.mkdir(parents=True, exist_ok=True)
    moves: list[tuple[Path, Path]] = []

    def move(path: Path, name: str) -> Path:
        """Plan to move a file of scratch; others, such as a plug's own, are read in place."""
        if not path.is_relative_to(scratch):
            return path
        target = (folder / name).with_suffix(path.suffix)
        moves.append((path, target))
        return target

    outputs = tuple(
        MediaFile(
            move(media.path, f"{number}"),
            media.media_type,
            media.facts,
            media.preview and move(media.preview, f"{number}-preview"),
            media.name,
            media.source_url,
        )
        for number, media in enumerate(done.outputs)
    )
    kept = Done(outputs, done.cost_micros, done.facts, done.usage)
    draft = folder / f"{_MANIFEST}.new"
    with draft.open("wb") as file:
        file.write(orjson.dumps(_document(kept)))
        file.flush()
        os.fsync(file.fileno())
    for path, target in moves:
        path.replace(target)
    draft.replace(folder / _MANIFEST)
    return kept


def attempts(parent: Path) -> list[str]:
    """Return the ids of attempts with a kept result."""
    if not parent.exists():
        return []
    return sorted(path.parent.name for path in parent.glob(f"*/{_MANIFEST}"))


def read(parent: Path, attempt_id: str) -> Done | None:
    """Return the kept result of an attempt, or None."""
    path = parent / attempt_id / _MANIFEST
    if not path.exists():
        return None
    return _result(path.parent, orjson.loads(path.read_bytes()))


def drop(parent: Path, attempt_id: str) -> None:
    """Remove a kept result, after it was stored or abandoned."""
    folder = parent / attempt_id
    if not folder.exists():
        return
    (folder / _MANIFEST).unlink(
        missing_ok=True
    )  # first, so that a partial removal leaves no result
    shutil.rmtree(folder)  # a dead process may have left folders in it


@contextmanager
def locked(parent: Path, attempt_id: str) -> Generator[bool]:
    """Lock the attempt's folder; yield False if another process has it."""
    folder = parent / attempt_id
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _document(done: Done) -> JsonObject:
    return {
        "cost_micros": done.cost_micros,
        "facts": dict(done.facts),
        "outputs": [
            {
                "path": str(media.path),
                "media_type": media.media_type,
                "facts": dict(media.facts),
                "preview": media.preview and str(media.preview),
                "name": media.name,
                "source_url": media.source_url,
            }
            for media in done.outputs
        ],
    }


def _result(folder: Path, told: JsonObject) -> Done:
    outputs = cast("list[JsonObject]", told["outputs"])
    return Done(
        tuple(
            MediaFile(
                folder / one["path"],
                one["media_type"],
                one["facts"],
                None if one["preview"] is None else folder / one["preview"],
                one["name"],
                one["source_url"],
            )
            for one in outputs
        ),
        told["cost_micros"],
        told["facts"],
    )
