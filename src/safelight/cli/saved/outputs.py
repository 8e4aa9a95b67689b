"""Decides which file each output is saved to, and in which format."""

import mimetypes
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from safelight.cli.documents import Document, items_of
from safelight.cli.failure import BadUse
from safelight.cli.saved.written import STDOUT, check_regular
from safelight.documents import Asset, Job

IMAGE, MODEL_3D = "image", "model_3d"
_ENDINGS = {"image/jpeg": "jpg", "model/gltf-binary": "glb", "image/webp": "webp"}
_ALIKE = {"jpeg": "jpg", "tiff": "tif"}
# File endings and the formats that the server derives for them. OBJ has materials beside it.
_DERIVED: Mapping[str, Mapping[str, str]] = {
    IMAGE: {"png": "png", "jpg": "jpeg", "webp": "webp", "avif": "avif"},
    MODEL_3D: {"zip": "obj", "stl": "stl", "ply": "ply", "usdz": "usdz"},
}
# Endings of files that are only saved as they are.
_AS_IS: Mapping[str, Sequence[str]] = {IMAGE: ("gif",), MODEL_3D: ("glb", "fbx")}
_LONGEST_STEM = 80


def check_target(target: str | None, *kinds: str) -> None:
    """Raise `BadUse` for a target that nothing of these kinds can be written to."""
    if target is None or target == STDOUT:
        return
    path = Path(target)
    if _is_folder(target):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadUse(f"{target} cannot be made a folder: {error.strerror}.") from None
        folder = path
    else:
        check_regular(path)
        _check_ending(path, kinds or (IMAGE, MODEL_3D))
        folder = path.parent
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


def plan(outputs: Sequence[tuple[str, Asset]], target: str, form: str | None = None) -> list[Path]:
    """Return a path for each output, in the format `form` if given.

    One output goes to `target` itself. Several go into it as a folder, or are numbered if it has a
    file's ending.
    """
    path = Path(target)
    if _is_folder(target) or (len(outputs) > 1 and not path.suffix):
        return _in_folder(outputs, path, form)
    if len(outputs) == 1:
        return [path]
    return [
        path.with_name(f"{path.stem}-{number}{path.suffix}")
        for number in range(1, len(outputs) + 1)
    ]


def conversion(path: Path, asset: Asset, form: str | None = None) -> str | None:
    """Return the format to derive for the ending of `path`; None saves the asset as it is.

    `form` is the format that was asked for besides. Raises `BadUse` if there is no such format, or
    if the ending names another one.
    """
    wanted = _ending_of(path)
    if form is not None:
        last = _ending_for(asset, form)
        if wanted not in ("", last):
            raise BadUse(f"--format {form} contradicts {path}.")
        return None if last == ending(asset) else form
    if wanted in ("", ending(asset)):
        return None
    _check_ending(path, (asset["kind"],))
    if wanted not in _DERIVED[asset["kind"]]:
        raise BadUse(f"{path} cannot be made of {asset['media_type']}: name it .{ending(asset)}.")
    return _DERIVED[asset["kind"]][wanted]


def ending(asset: Asset) -> str:
    """Return the usual file ending of an asset's media type, without the dot."""
    media_type = asset["media_type"]
    guess = _ENDINGS.get(media_type) or (mimetypes.guess_extension(media_type) or ".bin")[1:]
    return _ALIKE.get(guess, guess)


def format_of(target: str | None, kind: str) -> str | None:
    """Return the format that the ending of `target` asks for; None if it asks for none."""
    if target is None or target == STDOUT or _is_folder(target):
        return None
    return _DERIVED[kind].get(_ending_of(Path(target)))


def _ending_of(path: Path) -> str:
    suffix = path.suffix[1:].lower()
    return _ALIKE.get(suffix, suffix)


def _check_ending(path: Path, kinds: Sequence[str]) -> None:
    wanted = _ending_of(path)
    known = [each for kind in kinds for each in (*_DERIVED[kind], *_AS_IS[kind])]
    if wanted == "obj" and MODEL_3D in kinds:
        raise BadUse(f"{path}: OBJ comes as a ZIP with its textures; name it .zip.")
    if wanted and wanted not in known:
        raise BadUse(f"{path} has no known ending: it can be {', '.join(f'.{e}' for e in known)}.")


def _is_folder(target: str) -> bool:
    return target.endswith(os.sep) or Path(target).is_dir()


def _in_folder(outputs: Sequence[tuple[str, Asset]], folder: Path, form: str | None) -> list[Path]:
    paths: list[Path] = []
    for stem, asset in outputs:
        last = _ending_for(asset, form)
        path = folder / f"{stem}.{last}"
        number = 1
        while path in paths:
            number += 1
            path = folder / f"{stem}-{number}.{last}"
        paths.append(path)
    return paths


def _ending_for(asset: Asset, form: str | None) -> str:
    """Return the ending of the format `form`, or the asset's own; raise `BadUse` if unknown."""
    if form is None:
        return ending(asset)
    for last, name in _DERIVED[asset["kind"]].items():
        if name == form:
            return last
    known = ", ".join(_DERIVED[asset["kind"]].values())
    raise BadUse(f"--format {form}: this can be saved as {known}.")


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
