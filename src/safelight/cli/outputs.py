"""Decides which file each output is saved to, and looks at its folder before work begins."""

import mimetypes
import os
from collections.abc import Sequence
from pathlib import Path

from safelight.cli.documents import Document, items_of
from safelight.cli.failure import BadUse
from safelight.documents import Asset, Job

_ENDINGS = {"image/jpeg": "jpg", "model/gltf-binary": "glb", "image/webp": "webp"}
_ALIKE = {"jpeg": "jpg", "tiff": "tif"}
_PACKED = {"obj": "zip"}  # with its materials and textures
_LONGEST_STEM = 80


def check_target(target: str | None) -> None:
    """Refuse a target that nothing can be written to, before anything is made."""
    if target is None:
        return
    path = Path(target)
    if _is_folder(target):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadUse(f"{target} cannot be made a folder: {error.strerror}.") from None
        folder = path
    else:
        folder = path.parent
    if not folder.is_dir():
        raise BadUse(f"{target} cannot be written: there is no folder {folder}.")
    if not os.access(folder, os.W_OK):
        raise BadUse(f"{target} cannot be written: {folder} is closed to you.")


def outputs_of(document: Document) -> list[tuple[str, Asset]]:
    """Return every output that has an address, each with a name that a file could have."""
    return [
        (_name(item["name"], job, asset), asset)
        for item in items_of(document)
        if (job := item["job"])
        for asset in job["outputs"]
        if asset["url"]
    ]


def name_of(document: Document, form: str | None = None) -> str:
    """Return a file's name for what is downloaded of a job or batch as one, in another format."""
    if "items" in document:
        return f"{document['id']}.zip"
    made = outputs_of(document)
    if not made:
        return document["id"]
    stem, asset = made[0]
    return f"{stem}.{_PACKED.get(form, form) if form else ending(asset)}"


def target_of(target: str | None, name: str) -> Path:
    """Return where one file goes: to `target`, under its own name where that is a folder."""
    if target is None:
        return Path(name)
    return Path(target) / name if _is_folder(target) else Path(target)


def plan(outputs: Sequence[tuple[str, Asset]], target: str) -> list[Path]:
    """Return a path for each output: in the folder `target`, or itself, numbered if several."""
    if _is_folder(target):
        return _in_folder(outputs, Path(target))
    path = Path(target)
    if len(outputs) == 1:
        return [path]
    return [
        path.with_name(f"{path.stem}-{number}{path.suffix}")
        for number in range(1, len(outputs) + 1)
    ]


def mismatch(path: Path, asset: Asset) -> str | None:
    """Return what to say if the file's ending promises something else than it holds."""
    promised = _plain(path.suffix[1:].lower())
    if promised in ("", ending(asset)):
        return None
    return f"{path} holds {asset['media_type']}, whatever its name says."


def ending(asset: Asset) -> str:
    """Return the usual file ending of what `asset` holds, without the dot."""
    media_type = asset["media_type"]
    guess = _ENDINGS.get(media_type) or (mimetypes.guess_extension(media_type) or ".bin")[1:]
    return _plain(guess)


def _plain(suffix: str) -> str:
    return _ALIKE.get(suffix, suffix)


def _is_folder(target: str) -> bool:
    return target.endswith(os.sep) or Path(target).is_dir()


def _in_folder(outputs: Sequence[tuple[str, Asset]], folder: Path) -> list[Path]:
    paths: list[Path] = []
    for stem, asset in outputs:
        path = folder / f"{stem}.{ending(asset)}"
        number = 1
        while path in paths:
            number += 1
            path = folder / f"{stem}-{number}.{ending(asset)}"
        paths.append(path)
    return paths


def _name(given: str | None, job: Job, asset: Asset) -> str:
    """Return the name of the file or address that it came from, else the words it was made of."""
    origin = given or asset["name"] or job["source_url"]
    if not origin:
        return _harmless(job["prompt"] or "") or asset["id"]
    last = origin.partition("?")[0].rstrip("/").replace("\\", "/").rpartition("/")[2]
    return _harmless(last.rpartition(".")[0] or last) or asset["id"]


def _harmless(text: str) -> str:
    kept = "".join(char if char.isalnum() or char in "-_ ." else "-" for char in text)
    return kept[:_LONGEST_STEM].strip(" .-")
